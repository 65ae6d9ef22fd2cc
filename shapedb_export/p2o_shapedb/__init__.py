"""Developer tools that turn CAD files into the shape database and the exemplar pack."""
