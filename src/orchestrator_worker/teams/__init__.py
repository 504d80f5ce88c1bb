"""Teams: what a served model is made of, read from a folder."""
