//! The data folder: its lock, and the way to an open database that never makes things worse.
//!
//! Lock → checks that change nothing → backup → migrate → a new epoch.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::config::DbConfig;
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

use crate::{
    Durability,
    error::{Result, StoreError, code, primary_code, result_code},
    point::Point,
    upkeep::remove,
};

pub(crate) const DATABASE: &str = "quaero.db";
/// There from the moment the database was first complete: without the database, something is lost.
pub(crate) const INITIALISED: &str = "initialised";
const LOCK: &str = "engine.lock";
/// `Quae`, in the file's header.
const APPLICATION_ID: i64 = 0x5175_6165;
const LOCK_TRIES: u32 = 10_000;
const BACKUPS_KEPT: usize = 3;
/// The folder with copies of the database, in the data folder.
pub(crate) const BACKUPS: &str = "backups";
/// How long SQLite waits for another program that has the database.
const BUSY: Duration = Duration::from_secs(5);

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The version of the linked SQLite, such as `3.51.3`.
pub(crate) const SQLITE_VERSION: &str = match libsqlite3_sys::SQLITE_VERSION.to_str() {
    Ok(version) => version,
    Err(_) => "unknown",
};

// Before 3.51.3 two connections that write or checkpoint at the same instant can lose a commit.
const _: () =
    assert!(libsqlite3_sys::SQLITE_VERSION_NUMBER >= 3_051_003, "SQLite is older than 3.51.3");

/// The right to run the engine on a folder. The operating system releases it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn acquire(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(StoreError::io(&path))?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Whoever asks for the holder shares the lock for an instant; that keeps nobody out.
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES && only_asked(&file) => {
                    tries += 1;
                    std::thread::yield_now();
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked {
                        folder: folder.to_owned(),
                        pid: read_pid(&mut file),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::io(&path)(error)),
            }
        }
        file.set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(StoreError::io(&path))?;
        Ok(Self { _file: file })
    }

    /// The process that runs the engine on this folder, if one does; 0 if it is not known which.
    ///
    /// # Errors
    /// If the lock file cannot be opened.
    pub fn holder(folder: &Path) -> Result<Option<u32>> {
        let path = folder.join(LOCK);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&path)(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read_pid(&mut file))),
            Err(TryLockError::Error(error)) => Err(StoreError::io(&path)(error)),
        }
    }
}

/// Whether those who have the lock only share it.
fn only_asked(file: &File) -> bool {
    file.try_lock_shared().and_then(|()| file.unlock().map_err(TryLockError::Error)).is_ok()
}

fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
}

/// Refuses a folder whose name is not text: SQLite takes no other.
pub(crate) fn check_name(folder: &Path) -> Result<()> {
    if folder.to_str().is_some() {
        return Ok(());
    }
    let why = "its name is not valid text (UTF-8), so no database can be kept in it";
    Err(StoreError::io(folder)(std::io::Error::new(std::io::ErrorKind::InvalidInput, why)))
}

/// Creates the folder, for its owner only.
pub(crate) fn create(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(StoreError::io(folder))
}

/// How every connection is set.
const PRAGMAS: [(&str, &str); 6] = [
    ("foreign_keys", "ON"),
    ("recursive_triggers", "ON"),
    ("trusted_schema", "OFF"),
    ("cell_size_check", "ON"),
    ("temp_store", "MEMORY"),
    ("mmap_size", "0"),
];

fn options(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY);
    PRAGMAS.into_iter().fold(options, |options, (name, value)| options.pragma(name, value))
}

pub(crate) async fn readers(folder: &Path) -> Result<SqlitePool> {
    Ok(SqlitePoolOptions::new()
        .max_connections(4)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options(&folder.join(DATABASE)).read_only(true))
        .await?)
}

/// Looks at the database without changing a byte; if asked to, at every page of one that was not
/// closed. Returns whether it was not.
///
/// # Errors
/// If it is missing although it was there before, damaged, of another program, or too new.
pub(crate) async fn check_database(folder: &Path, closely: bool) -> Result<bool> {
    let path = folder.join(DATABASE);
    let corrupt = |detail: String| StoreError::Corrupt { path: path.clone(), detail };
    let length = match std::fs::metadata(&path) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(StoreError::io(&path)(error)),
    };
    if length == 0 {
        // SQLite would take an empty file for a new database and hide the loss.
        if holds_store(folder) {
            return Err(corrupt(
                "it is missing or empty, but this folder has held one before".to_owned(),
            ));
        }
        return Ok(false);
    }
    let is_new = !holds_store(folder);
    let header = match header(&path, closely).await {
        Ok(header) => header,
        // A process was killed while it created the database. The writer will undo that.
        Err(error) if is_new && result_code(&error) == Some(code::READONLY_ROLLBACK) => {
            return Ok(false);
        }
        Err(error) => {
            return Err(match primary_code(&error) {
                // The disk fails or is full, which says nothing of the database.
                Some(code::CANTOPEN | code::IOERR | code::FULL)
                    if result_code(&error) != Some(code::IOERR_SHORT_READ) =>
                {
                    StoreError::io(&path)(std::io::Error::other(error.to_string()))
                }
                // Another program has it open; nothing is wrong with it.
                Some(code::BUSY | code::LOCKED) => error.into(),
                _ => corrupt(error.to_string()),
            });
        }
    };
    // A process that was killed before the first migration leaves an empty database behind.
    if header.application == 0 && header.format == 0 && is_new {
        return Ok(false);
    }
    if header.application != APPLICATION_ID {
        return Err(corrupt("it is not a database of Quaero's".to_owned()));
    }
    let known = newest_format();
    let newest = header.applied.iter().map(|applied| applied.version).max().unwrap_or_default();
    let found = header.format.max(newest);
    if found > known {
        return Err(StoreError::Newer { path, found, known });
    }
    if let Some(why) = header.is_foreign() {
        let detail = format!(
            "{why}, so another build of Quaero has made it, or another program has changed it. \
             Open it with that build, or restore a copy"
        );
        return Err(corrupt(detail));
    }
    match header.verdict {
        Some(verdict) if verdict != "ok" => Err(corrupt(verdict)),
        _ => Ok(header.was_unclean),
    }
}

/// What a database says of itself.
struct Header {
    application: i64,
    format: i64,
    /// The migrations that it has been through.
    applied: Vec<Applied>,
    /// A process had it open and did not close it.
    was_unclean: bool,
    /// What SQLite finds in it, if that was looked for.
    verdict: Option<String>,
}

/// A migration as the database has noted it.
#[derive(sqlx::FromRow)]
struct Applied {
    version: i64,
    success: bool,
    checksum: Vec<u8>,
}

impl Header {
    /// What shows that its schema is not one that this version of Quaero has made or can go on from.
    fn is_foreign(&self) -> Option<String> {
        let differs = |applied: &Applied| {
            let version = applied.version;
            let known = MIGRATIONS.iter().find(|migration| migration.version == version);
            match known {
                _ if !applied.success => Some(format!("its migration {version} was not finished")),
                None => Some(format!("its migration {version} is not known here")),
                Some(known) if *known.checksum != *applied.checksum => {
                    Some(format!("its migration {version} is not the one known here"))
                }
                _ if version > self.format => {
                    Some(format!("it has migration {version} but says format {}", self.format))
                }
                Some(_) => None,
            }
        };
        let is_missing = |version: &i64| {
            *version <= self.format && !self.applied.iter().any(|a| a.version == *version)
        };
        self.applied.iter().find_map(differs).or_else(|| {
            let missing = MIGRATIONS.iter().map(|migration| migration.version).find(is_missing)?;
            Some(format!("it says format {} but lacks migration {missing}", self.format))
        })
    }
}

async fn header(path: &Path, closely: bool) -> Result<Header, sqlx::Error> {
    let mut conn = SqliteConnection::connect_with(&options(path).read_only(true)).await?;
    let application = pragma(&mut conn, "PRAGMA application_id").await?;
    let format = pragma(&mut conn, "PRAGMA user_version").await?;
    let (applied, was_unclean, verdict) = Default::default();
    let mut header = Header { application, format, applied, was_unclean, verdict };
    let is_known = application == APPLICATION_ID && (1..=newest_format()).contains(&format);
    if is_known {
        let applied = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";
        header.applied = match sqlx::query_as(applied).fetch_all(&mut conn).await {
            // Without the table, none is noted.
            Err(error) if result_code(&error) == Some(code::ERROR) => Vec::new(),
            applied => applied?,
        };
    }
    if closely && is_known {
        let unclean = "SELECT EXISTS (SELECT 1 FROM epochs WHERE stopped_ms IS NULL)";
        header.was_unclean = sqlx::query_scalar(unclean).fetch_one(&mut conn).await?;
        if header.was_unclean {
            let check = sqlx::query_scalar("PRAGMA quick_check(1)");
            header.verdict = Some(check.fetch_one(&mut conn).await?);
        }
    }
    conn.close().await?;
    Ok(header)
}

/// Whether a folder holds a database that was complete once.
pub(crate) fn holds_store(folder: &Path) -> bool {
    folder.join(INITIALISED).exists()
}

pub(crate) fn newest_format() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn pragma(conn: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(conn).await
}

/// A connection that may create the database and change its schema.
pub(crate) async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = options(path)
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    SqliteConnection::connect_with(&options).await
}

pub(crate) struct Opened {
    /// The writer's connection.
    pub(crate) conn: rusqlite::Connection,
    pub(crate) epoch: i64,
    pub(crate) was_unclean: bool,
}

/// Brings the database up to date and starts a new epoch. The folder's lock must be held.
pub(crate) async fn open_writer(
    folder: &Path,
    durability: Durability,
    now_ms: i64,
) -> Result<Opened> {
    let was_unclean = check_database(folder, true).await?;
    Point::Checked.reach()?;
    let path = folder.join(DATABASE);
    let mut conn = connect(&path).await?;
    let begun = begin(folder, &mut conn, now_ms).await;
    let writer = begun.and_then(|begun| Ok((begun, connect_writer(&path, durability)?)));
    // In any case before the lock goes.
    conn.close().await?;
    let (epoch, writer) = writer?;
    let marker = folder.join(INITIALISED);
    if !marker.exists() {
        File::create(&marker).and_then(|file| file.sync_all()).map_err(StoreError::io(&marker))?;
    }
    Point::Initialised.reach()?;
    Ok(Opened { conn: writer, epoch, was_unclean })
}

/// Brings the database up to date and starts a new epoch.
async fn begin(folder: &Path, conn: &mut SqliteConnection, now_ms: i64) -> Result<i64> {
    restrict(&folder.join(DATABASE))?;
    #[cfg(feature = "failpoints")]
    crate::faults::while_opening(conn).await?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *conn).await?;
    if journal != "wal" {
        // The write-ahead log needs memory that processes share; network file systems have none.
        let why = format!("its file system cannot hold a write-ahead log (it offers `{journal}`)");
        return Err(StoreError::io(folder.join(DATABASE))(std::io::Error::other(why)));
    }
    let path = folder.join(DATABASE);
    Point::Connected.reach()?;
    let format: i64 = pragma(conn, "PRAGMA user_version").await?;
    if format > 0 && format < newest_format() {
        back_up(folder, conn, format, now_ms).await?;
    }
    Point::MigrationBegun.reach()?;
    // `run` would make this future not provably `Send`: "Acquire is not general enough".
    MIGRATIONS.run_direct(None, conn, false).await.map_err(|error| {
        let detail = format!("bringing it up to date failed: {error}");
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                // It was undone, and can be tried again.
                Some(StoreError::from(error)).filter(StoreError::may_pass)
            }
            _ => None,
        }
        .unwrap_or_else(|| StoreError::Corrupt { path: path.clone(), detail })
    })?;
    Point::Migrated.reach()?;
    let epoch: i64 =
        sqlx::query_scalar("INSERT INTO epochs (pid, started_ms) VALUES (?, ?) RETURNING id")
            .bind(std::process::id())
            .bind(now_ms)
            .fetch_one(&mut *conn)
            .await?;
    Point::EpochBegun.reach()?;
    sqlx::query("UPDATE epochs SET stopped_ms = ?1 WHERE stopped_ms IS NULL AND id < ?2")
        .bind(now_ms)
        .bind(epoch)
        .execute(&mut *conn)
        .await?;
    Point::EpochsEnded.reach()?;
    Ok(epoch)
}

/// The connection of the writer, to a database that is up to date.
pub(crate) fn connect_writer(path: &Path, durability: Durability) -> Result<rusqlite::Connection> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = rusqlite::Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    let synchronous = match durability {
        Durability::Disk => "FULL",
        Durability::System => "NORMAL",
    };
    // The journal is set already, for the file.
    let own = [
        ("synchronous", synchronous),
        ("cache_size", "-16000"),
        // A run rewrites the same pages again and again; the less often they are folded in, the better.
        ("wal_autocheckpoint", "8000"),
        ("journal_size_limit", "67108864"),
        ("analysis_limit", "400"),
    ];
    for (pragma, value) in PRAGMAS.into_iter().chain(own) {
        conn.pragma_update(None, pragma, value)?;
    }
    // Without it, SQLite plans a statement anew for each other value of a `LIMIT ?`.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // More than there are statements in this crate.
    conn.set_prepared_statement_cache_capacity(256);
    Ok(conn)
}

/// Closes the writer's connection, with everything in the database file, so that a copy of it is
/// whole.
pub(crate) fn close_writer(conn: rusqlite::Connection) -> Result<()> {
    let is_damaged = conn.db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE)?;
    if !is_damaged {
        // Neither is more than a convenience.
        let _ = conn.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
    }
    Point::Folded.pass();
    conn.close().map_err(|(_, error)| error.into())
}

/// Makes a file readable by its owner only.
pub(crate) fn restrict(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(StoreError::io(path))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Copies the database before it is migrated, and keeps the newest few copies.
async fn back_up(
    folder: &Path,
    conn: &mut SqliteConnection,
    format: i64,
    now_ms: i64,
) -> Result<()> {
    let backups = folder.join(BACKUPS);
    create(&backups)?;
    let target = backups.join(format!("quaero-{format}-{now_ms}.db"));
    let partial = backups.join("quaero-unfinished.partial");
    // Of a process that has died.
    remove(&partial);
    Point::BackupBegun.reach()?;
    let copied =
        sqlx::query("VACUUM INTO ?").bind(partial.to_string_lossy().into_owned()).execute(conn);
    copied.await.inspect_err(|_| remove(&partial))?;
    restrict(&partial)?;
    File::open(&partial).and_then(|file| file.sync_all()).map_err(StoreError::io(&partial))?;
    Point::BackupCopied.reach()?;
    std::fs::rename(&partial, &target).map_err(StoreError::io(&target))?;
    Point::BackedUp.reach()?;
    keep_newest(&backups, "quaero-", BACKUPS_KEPT)?;
    Ok(())
}

/// Removes the oldest copies whose names begin like this, but for so many. Returns how many went.
pub(crate) fn keep_newest(backups: &Path, prefix: &str, keep: usize) -> Result<usize> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(prefix) && path.extension().is_some_and(|e| e == "db")
    };
    let mut copies: Vec<PathBuf> = std::fs::read_dir(backups)
        .map_err(StoreError::io(backups))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_one)
        .collect();
    copies.sort_by_key(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok());
    let old = copies.len().saturating_sub(keep);
    for copy in &copies[..old] {
        std::fs::remove_file(copy).map_err(StoreError::io(copy))?;
    }
    Ok(old)
}
