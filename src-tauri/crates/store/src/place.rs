//! Where a data folder lies: on a disk of this computer, or where the promises of locks, of shared
//! memory and of a finished write are somebody else's.

use std::path::Path;

/// The kind of network or user-space file system that a folder is on, if it is on one. SQLite warns of
/// these: see <https://sqlite.org/howtocorrupt.html>, section 2, and <https://sqlite.org/wal.html>,
/// "all processes … must be on the same host".
///
/// Known on Linux only. `None` as well if the folder is not there.
#[must_use]
pub fn shared_file_system(folder: &Path) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    {
        let found = rustix::fs::statfs(folder).ok()?;
        #[allow(clippy::useless_conversion, reason = "the number is wider on some computers")]
        let magic = i64::try_from(found.f_type).ok()?;
        kind(magic)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        None
    }
}

/// By the number in `f_type`; see statfs(2).
#[cfg(target_os = "linux")]
const fn kind(magic: i64) -> Option<&'static str> {
    // Some are negative where the number is 32 bits wide.
    match magic & 0xffff_ffff {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x6573_5546 => Some("FUSE"),
        0x0102_1997 => Some("9P"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x786f_4256 => Some("a shared folder of VirtualBox"),
        _ => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_others_are_told_apart_from_disks() {
        let rows = [
            ("ext4", 0xef53, None),
            ("btrfs", 0x9123_683e, None),
            ("xfs", 0x5846_5342, None),
            ("tmpfs", 0x0102_1994, None),
            ("overlayfs", 0x794c_7630, None),
            ("zfs", 0x2fc1_2fc1, None),
            ("nfs", 0x6969, Some("NFS")),
            ("cifs", 0xff53_4d42, Some("SMB")),
            ("cifs, 32 bits", -0x00ac_b2be, Some("SMB")),
            ("smb 2", 0xfe53_4d42, Some("SMB")),
            ("sshfs, or a cloud folder", 0x6573_5546, Some("FUSE")),
            ("a share of a virtual machine", 0x0102_1997, Some("9P")),
        ];
        for (name, magic, expected) in rows {
            assert_eq!(kind(magic), expected, "{name}");
        }
        assert_eq!(shared_file_system(Path::new("/proc/self/nothing-here")), None);
    }
}
