//! Faults on purpose, for tests: only built with the feature `failpoints`.

use crate::{error::Result, writer::Tx};

impl Tx {
    /// From now on SQLite asks `fails` again and again while the writer's statements run, commits
    /// included, after so many steps of its virtual machine; true ends the statement that is running
    /// with SQLITE_INTERRUPT, and with it, in a writing statement, the whole transaction. To the
    /// program this looks like an I/O error at that point.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn interrupt_when(
        &mut self,
        steps: i32,
        mut fails: impl FnMut() -> bool + Send + 'static,
    ) -> Result<()> {
        self.conn.lock_handle().await?.set_progress_handler(steps, move || !fails());
        Ok(())
    }

    /// Lets the database grow by no more than so many pages: then the disk is full.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn leave_room(&mut self, pages: u32) -> Result<()> {
        let now: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut self.conn).await?;
        let most = now.saturating_add(i64::from(pages)).min(i64::from(i32::MAX));
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {most}")))
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }
}
