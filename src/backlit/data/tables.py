"""Tables and arrays in files, by the kind of file: csv.py, parquet.py, npz.py; what tables share is in columns.py."""

from backlit.data.csv import Csv, read_table
from backlit.data.npz import Npz, read_arrays
from backlit.data.parquet import Parquet
from backlit.data.sheet import place_of

__all__ = ["Csv", "Npz", "Parquet", "place_of", "read_arrays", "read_table"]
