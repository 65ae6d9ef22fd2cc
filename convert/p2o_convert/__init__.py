"""Turn a checkpoint into a bundle and prove, stage by stage, that nothing was lost."""
