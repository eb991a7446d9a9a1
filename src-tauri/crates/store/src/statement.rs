//! One statement of the writer: run, with its rows taken out of SQLite at once, so that nothing stays
//! open while the caller goes on. And what rows of the writer and of the readers have in common.

use std::rc::Rc;

use rusqlite::{Params, types::FromSql};
use sqlx::{Decode, Row as _, Sqlite, Type, sqlite::SqliteRow};

use crate::{
    error::{Result, StoreError},
    writer::Tx,
};

/// A row that the writer has read.
#[derive(Debug)]
pub(crate) struct Row {
    columns: Rc<[String]>,
    values: Box<[rusqlite::types::Value]>,
}

impl Row {
    /// The value of a column.
    pub(crate) fn get<T: FromSql>(&self, column: &str) -> Result<T> {
        let place = self.columns.iter().position(|name| name == column);
        place.map_or_else(
            || Err(StoreError::decode(column, "there is no such column")),
            |p| self.at(p),
        )
    }

    fn at<T: FromSql>(&self, place: usize) -> Result<T> {
        T::column_result((&self.values[place]).into())
            .map_err(|error| StoreError::decode(&self.columns[place], error))
    }
}

/// What a column can be read as, whoever has read it.
pub(crate) trait Value: FromSql + for<'r> Decode<'r, Sqlite> + Type<Sqlite> {}

impl<T: FromSql + for<'r> Decode<'r, Sqlite> + Type<Sqlite>> Value for T {}

/// A row of the writer or of a reader.
pub(crate) trait Record {
    /// The value of a column.
    fn field<T: Value>(&self, column: &str) -> Result<T>;
}

impl Record for Row {
    fn field<T: Value>(&self, column: &str) -> Result<T> {
        self.get(column)
    }
}

impl Record for SqliteRow {
    fn field<T: Value>(&self, column: &str) -> Result<T> {
        Ok(self.try_get(column)?)
    }
}

impl Tx {
    /// Runs a statement. Returns how many rows it has changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    /// All rows of a query.
    pub(crate) fn all(&self, sql: &str, params: impl Params) -> Result<Vec<Row>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let columns: Rc<[String]> =
            statement.column_names().into_iter().map(str::to_owned).collect();
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values =
                (0..columns.len()).map(|place| row.get(place)).collect::<rusqlite::Result<_>>()?;
            found.push(Row { columns: Rc::clone(&columns), values });
        }
        Ok(found)
    }

    /// The first row of a query, if there is one.
    pub(crate) fn first(&self, sql: &str, params: impl Params) -> Result<Option<Row>> {
        // To the end, because a change is whole only then.
        Ok(self.all(sql, params)?.into_iter().next())
    }

    /// The first row of a query that has one.
    pub(crate) fn one(&self, sql: &str, params: impl Params) -> Result<Row> {
        Ok(self.first(sql, params)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
    }

    /// The first column of all rows.
    pub(crate) fn scalars<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<Vec<T>> {
        self.all(sql, params)?.iter().map(|row| row.at(0)).collect()
    }

    /// The first column of the first row, if there is one.
    pub(crate) fn first_scalar<T: FromSql>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<T>> {
        self.first(sql, params)?.map(|row| row.at(0)).transpose()
    }

    /// The first column of the first row.
    pub(crate) fn scalar<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<T> {
        self.one(sql, params)?.at(0)
    }
}
