"""Read CAD files of many formats and conventions as metric, upright meshes."""
