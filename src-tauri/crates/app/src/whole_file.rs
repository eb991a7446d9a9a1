//! Files that are there whole or not at all, whatever happens while they are written.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use tempfile::NamedTempFile;

/// Writes a file in the place of the one that may be there. Its permissions stay.
///
/// # Errors
/// If the folder cannot be written; what was there is unchanged then.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let partial = written(path, content)?;
    if let Ok(old) = fs::metadata(path) {
        partial.as_file().set_permissions(old.permissions())?;
    }
    partial.persist(path).map_err(|error| error.error)?;
    keep_name(path)
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if it is, or if the folder cannot be written.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    written(path, content)?.persist_noclobber(path).map_err(|error| error.error)?;
    keep_name(path)
}

/// Moves a file to a name that is not taken, also from one disk to another. Of a link, what it leads
/// to is copied and stays.
///
/// # Errors
/// If one of the folders cannot be written; the file is still there then.
pub(crate) fn move_away(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_symlink() || fs::rename(from, to).is_err() {
        fs::copy(from, to)?;
        File::open(to)?.sync_all()?;
        fs::remove_file(from)?;
    }
    keep_name(to)?;
    keep_name(from)
}

/// The content under a hidden name beside the file, safe on disk.
fn written(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".quaero-").suffix(".partial");
    // What the user's own umask leaves of this, as for every other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// The new name has to survive a loss of power as well. Not every system can do this.
fn keep_name(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_created_or_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        replace(&a, b"1").expect("written");
        replace(&a, b"2").expect("replaced");
        assert_eq!(create(&a, b"3").expect_err("taken").kind(), io::ErrorKind::AlreadyExists);
        move_away(&a, &b).expect("moved");
        create(&a, b"4").expect("free again");
        move_away(&dir.path().join("none"), &b).expect_err("there is no such file");
        assert_eq!(
            (fs::read(&a).expect("read"), fs::read(&b).expect("read")),
            (vec![b'4'], vec![b'2'])
        );
        replace(&dir.path().join("gone/x"), b"").expect_err("there is no such folder");
        replace(dir.path(), b"").expect_err("it is a folder");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 2, "nothing is left behind");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        replace(&path, b"1").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        replace(&path, b"2").expect("replaced");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
    }
}
