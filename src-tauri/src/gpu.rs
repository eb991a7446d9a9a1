//! One setting for WebKitGTK that has to be made before it starts.

/// Without a real graphics processor, WebKitGTK's DMA-BUF renderer draws in software and copies each
/// frame: scrolling takes five times as long, and some drivers show an empty window. With one it is
/// the fast path, so it is turned off only where it hurts, and never against the user's own setting.
///
/// Call it before any thread starts.
#[cfg(target_os = "linux")]
pub(crate) fn avoid_a_slow_path() {
    const VARIABLE: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";

    if std::env::var_os(VARIABLE).is_some()
        || linux::has_good_gpu(std::path::Path::new("/sys/class/drm"))
    {
        return;
    }
    // SAFETY: called from the first lines of `main`. No other thread exists that could read the
    // environment at the same time.
    #[allow(unsafe_code, clippy::disallowed_methods, reason = "the one place, see above")]
    unsafe {
        std::env::set_var(VARIABLE, "1");
    }
}

/// Only WebKitGTK needs it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn avoid_a_slow_path() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, path::Path};

    /// PCI vendors whose render nodes are emulated (QEMU, virtio, VMware, VirtualBox, Bochs, Cirrus),
    /// and NVIDIA, whose driver often shows an empty window on this path.
    const BAD_VENDORS: [&str; 7] =
        ["0x1b36", "0x1af4", "0x15ad", "0x80ee", "0x1234", "0x1013", "0x10de"];

    /// Whether some render node belongs to a graphics processor on which the fast path is fast.
    pub(super) fn has_good_gpu(drm: &Path) -> bool {
        let Ok(nodes) = fs::read_dir(drm) else { return false };
        nodes
            .flatten()
            .filter(|node| node.file_name().to_string_lossy().starts_with("renderD"))
            .filter_map(|node| fs::read_to_string(node.path().join("device/vendor")).ok())
            .any(|vendor| !BAD_VENDORS.contains(&vendor.trim()))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_a_real_graphics_processor_counts() {
            let rows: [(&[(&str, &str)], bool); 5] = [
                (&[], false),
                (&[("card0", "0x8086")], false),
                (&[("renderD128", "0x1af4")], false),
                (&[("renderD128", "0x8086")], true),
                (&[("renderD128", "0x10de"), ("renderD129", "0x1002")], true),
            ];
            for (nodes, expected) in rows {
                let folder = tempfile::tempdir().expect("a temporary folder");
                for (node, vendor) in nodes {
                    let device = folder.path().join(node).join("device");
                    fs::create_dir_all(&device).expect("a folder for the node");
                    fs::write(device.join("vendor"), format!("{vendor}\n")).expect("a vendor");
                }
                assert_eq!(has_good_gpu(folder.path()), expected, "{nodes:?}");
            }
        }
    }
}
