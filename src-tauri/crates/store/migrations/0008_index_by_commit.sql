-- What a commit changes in the documents goes into the search index at its end, all at once; see
-- src/index.rs.

PRAGMA user_version = 8;

DROP TRIGGER documents_fts_insert;
DROP TRIGGER documents_fts_update;
