//! The address of a data folder's socket.

use std::{fs::File, io, path::Path};

use interprocess::local_socket::{ListenerOptions, Name, tokio::Listener};
#[cfg(unix)]
use interprocess::{
    local_socket::{GenericFilePath, ToFsName},
    os::unix::local_socket::ListenerOptionsExt,
};

#[cfg(unix)]
const FILE: &str = "control.sock";
/// The path of a socket has at most 104 bytes on the least generous system.
#[cfg(unix)]
const MAX_PATH: usize = 100;

/// Where to find the process that runs the engine on a data folder.
pub(super) struct Address {
    #[cfg(unix)]
    path: std::path::PathBuf,
    #[cfg(windows)]
    name: String,
    /// Open as long as `path` leads through it.
    _folder: Option<File>,
}

#[cfg(unix)]
impl Address {
    /// A socket in the folder itself. If its path is too long for a socket: on Linux the same
    /// place by a shorter way, elsewhere a name made from the path, in the folder for temporary
    /// files.
    pub(super) fn of(data_dir: &Path) -> io::Result<Self> {
        use std::os::{fd::AsRawFd, unix::ffi::OsStrExt};
        let path = std::path::absolute(data_dir)?.join(FILE);
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path, _folder: None });
        }
        if cfg!(target_os = "linux") {
            let folder = File::open(data_dir)?;
            let path = format!("/proc/self/fd/{}/{FILE}", folder.as_raw_fd()).into();
            return Ok(Self { path, _folder: Some(folder) });
        }
        let hash = blake3::hash(data_dir.canonicalize()?.as_os_str().as_bytes()).to_hex();
        let name = format!("quaero-{}.sock", &hash[..16]);
        Ok(Self { path: std::env::temp_dir().join(name), _folder: None })
    }

    pub(super) fn name(&self) -> io::Result<Name<'static>> {
        self.path.clone().to_fs_name::<GenericFilePath>()
    }

    /// Listens there, for this user only.
    pub(super) fn listen(&self) -> io::Result<Listener> {
        use std::os::unix::fs::PermissionsExt;
        // Left by a process that was killed: whoever holds the folder's lock is the only listener.
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match ListenerOptions::new().name(self.name()?).mode(0o600).create_tokio() {
            // Some systems cannot set it before the socket is there. The data folder is closed to
            // others in any case.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                let listener = ListenerOptions::new().name(self.name()?).create_tokio()?;
                std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o600))?;
                Ok(listener)
            }
            result => result,
        }
    }
}

#[cfg(windows)]
impl Address {
    /// A pipe with a name made from the path. Other users can read pipes of this kind, not write.
    pub(super) fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.canonicalize()?;
        let hash = blake3::hash(path.to_string_lossy().to_lowercase().as_bytes()).to_hex();
        Ok(Self { name: format!("quaero-{}", &hash[..32]), _folder: None })
    }

    pub(super) fn name(&self) -> io::Result<Name<'static>> {
        use interprocess::local_socket::{GenericNamespaced, ToNsName};
        self.name.clone().to_ns_name::<GenericNamespaced>()
    }

    pub(super) fn listen(&self) -> io::Result<Listener> {
        ListenerOptions::new().name(self.name()?).create_tokio()
    }
}
