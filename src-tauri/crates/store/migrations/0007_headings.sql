-- Search knows headings from the text below them, and counts without reading texts.

PRAGMA user_version = 7;

-- The headings of the content, one on a line; for search.
ALTER TABLE documents ADD COLUMN headings TEXT NOT NULL DEFAULT '';

-- What is counted of all hits of a search, without the documents themselves: their pages are many times
-- as many.
CREATE INDEX documents_by_facet ON documents (id, source_type, site);

DROP TRIGGER documents_fts_insert;
DROP TRIGGER documents_fts_delete;
DROP TRIGGER documents_fts_update;
DROP TABLE documents_fts;
CREATE VIRTUAL TABLE documents_fts USING fts5 (
    title, headings, markdown,
    content = 'documents', content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO documents_fts (documents_fts) VALUES ('rebuild');
CREATE TRIGGER documents_fts_insert AFTER INSERT ON documents BEGIN
    INSERT INTO documents_fts (rowid, title, headings, markdown)
        VALUES (NEW.id, NEW.title, NEW.headings, NEW.markdown);
END;
CREATE TRIGGER documents_fts_delete AFTER DELETE ON documents BEGIN
    INSERT INTO documents_fts (documents_fts, rowid, title, headings, markdown)
        VALUES ('delete', OLD.id, OLD.title, OLD.headings, OLD.markdown);
END;
CREATE TRIGGER documents_fts_update AFTER UPDATE OF title, headings, markdown ON documents BEGIN
    INSERT INTO documents_fts (documents_fts, rowid, title, headings, markdown)
        VALUES ('delete', OLD.id, OLD.title, OLD.headings, OLD.markdown);
    INSERT INTO documents_fts (rowid, title, headings, markdown)
        VALUES (NEW.id, NEW.title, NEW.headings, NEW.markdown);
END;
