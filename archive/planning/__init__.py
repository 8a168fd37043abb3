"""Decides what a run has to do, in memory that does not grow with the archive.

listings, tables ─▶ spool: Parquet files by bucket ─▶ join, bucket by bucket ─▶ plan: a table in the archive
"""
