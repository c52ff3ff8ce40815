"""The only files that know a vendor's names and layouts."""
