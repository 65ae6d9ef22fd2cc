"""From meshes to inside and outside: voxels and signed distances."""
