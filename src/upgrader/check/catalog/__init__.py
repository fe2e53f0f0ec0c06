"""What a database consists of, read from its catalogs, and how two of them differ.

objects.py    CatalogObject, Catalog: the values
queries.py    one query for each catalog
read.py       reads them on a connection
names.py      which names the server makes up
meaning.py    when two expressions that are printed differently mean the same
compare.py    two catalogs in, typed differences out
sentences.py  a difference as people read it
"""
