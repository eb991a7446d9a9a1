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
    pub fn interrupt_when(
        &mut self,
        steps: i32,
        fails: impl FnMut() -> bool + Send + 'static,
    ) -> Result<()> {
        Ok(self.conn.progress_handler(steps, Some(fails))?)
    }

    /// Lets the database grow by no more than so many pages: then the disk is full.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn leave_room(&mut self, pages: u32) -> Result<()> {
        let now: i64 = self.scalar("PRAGMA page_count", [])?;
        let most = now.saturating_add(i64::from(pages)).min(i64::from(i32::MAX));
        self.scalar::<i64>(&format!("PRAGMA max_page_count = {most}"), [])?;
        Ok(())
    }
}
