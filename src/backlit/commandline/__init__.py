"""What the commands of `backlit` are made of; `backlit.cli` puts them together."""
