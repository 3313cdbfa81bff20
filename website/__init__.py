"""The site of the documentation: what `mkdocs.yml` needs beside the pages in `docs/`."""
