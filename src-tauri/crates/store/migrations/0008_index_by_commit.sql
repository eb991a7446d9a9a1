-- What a commit adds to the documents goes into the search index at its end, all at once; see src/index.rs.

PRAGMA user_version = 8;

DROP TRIGGER documents_fts_insert;
