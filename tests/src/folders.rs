//! Folders as users have them, made anew for each test.

#[cfg(target_os = "linux")]
use crate::{not_tested, note};
use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// A folder with a bit of everything, and what a run over it should find.
#[derive(Debug)]
pub struct Mixed {
    /// The absolute paths of the files that become documents, as text.
    pub documents: BTreeSet<String>,
    /// How many files fail.
    pub unreadable: usize,
    /// Words that only one file holds each, with the path of that file.
    pub phrases: Vec<(String, PathBuf)>,
}

/// Copies the files of a folder and of the folders in it. The new folder may exist.
///
/// # Errors
/// If that fails.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if entry.is_dir() {
            copy(&entry, &to.join(name))?;
        } else {
            fs::copy(&entry, to.join(name))?;
        }
    }
    Ok(())
}

/// Fills a folder with about 300 files of every kind that `local_dir` meets.
///
/// # Errors
/// If the folder cannot be filled.
pub fn mixed(root: &Path) -> io::Result<Mixed> {
    let root = root.canonicalize()?;
    let mut made = Mixed { documents: BTreeSet::new(), unreadable: 0, phrases: Vec::new() };
    let mut keep = |name: &Path, bytes: &[u8]| -> io::Result<PathBuf> {
        let path = write(&root, name, bytes)?;
        made.documents.insert(path.to_string_lossy().into_owned());
        Ok(path)
    };
    for number in 0..120 {
        let text = format!("# Note {number}\n\nA note about {}.\n\n- one\n- two\n", word(number));
        let path = keep(format!("notes/{}/{number}.md", number % 7).as_ref(), text.as_bytes())?;
        made.phrases.push((word(number), path));
    }
    for number in 120..200 {
        let page =
            page(&format!("Page {number}"), &format!("<p>It tells of {}.</p>", word(number)));
        keep(format!("pages/{number}.html").as_ref(), page.as_bytes())?;
    }
    for number in 200..250 {
        keep(
            format!("texts/{number}.txt").as_ref(),
            format!("Plain {}\n", word(number)).as_bytes(),
        )?;
    }
    for number in 250..290 {
        let source = format!("//! About {}.\nfn main() {{}}\n", word(number));
        keep(format!("code/src/{number}.rs").as_ref(), source.as_bytes())?;
    }
    for number in 290..294 {
        let path = keep(format!("papers/{number}.pdf").as_ref(), &pdf(&word(number)))?;
        made.phrases.push((word(number), path));
    }
    keep("README".as_ref(), b"No ending, yet text.\n")?;
    keep(
        "Names/with spaces, \u{fc}ml\u{e4}uts \u{1f980}.md".as_ref(),
        b"# Odd name\n\nStill read.\n",
    )?;
    keep("Names/<b>bold & quoted.txt".as_ref(), b"Looks like HTML.\n")?;
    keep("windows.txt".as_ref(), b"Gr\xfc\xdfe aus K\xf6ln, und viele sch\xf6ne T\xe4ge.\n")?;

    // None of these becomes a document.
    write(&root, "picture.png".as_ref(), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0")?;
    write(&root, "program".as_ref(), b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0")?;
    write(&root, "empty.md".as_ref(), b"")?;
    write(&root, ".gitignore".as_ref(), b"*.log\n/private/\n")?;
    write(&root, "today.log".as_ref(), b"not to be seen")?;
    write(&root, "private/diary.md".as_ref(), b"not to be seen")?;
    write(&root, "node_modules/x/README.md".as_ref(), b"not to be seen")?;
    write(&root, ".git/HEAD".as_ref(), b"ref: refs/heads/main")?;
    write(&root, ".hidden.md".as_ref(), b"not to be seen")?;
    fs::File::create(root.join("huge.txt"))?.set_len((10 << 20) + 1)?;
    unusual(&root, &mut made)?;
    Ok(made)
}

/// What only Unix has.
#[cfg(unix)]
fn unusual(root: &Path, made: &mut Mixed) -> io::Result<()> {
    use std::os::unix::{
        ffi::OsStringExt,
        fs::{PermissionsExt, symlink},
    };
    let lossy =
        write(root, Path::new(&OsString::from_vec(b"caf\xe9.txt".to_vec())), b"Latin name\n")?;
    made.documents.insert(lossy.to_string_lossy().into_owned());
    symlink(".", root.join("notes/loop"))?;
    symlink("../..", root.join("notes/0/up"))?;
    symlink("nowhere", root.join("dangling.md"))?;
    symlink("notes/0/0.md", root.join("link.md"))?;
    // Opening it for reading waits for a writer that never comes.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe.txt"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )?;
    let locked = write(root, "locked.md".as_ref(), b"For nobody.\n")?;
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000))?;
    if fs::read(&locked).is_ok() {
        // The administrator may read everything.
        made.documents.insert(locked.to_string_lossy().into_owned());
    } else {
        made.unreadable += 1;
    }
    Ok(())
}

#[cfg(not(unix))]
fn unusual(_root: &Path, _made: &mut Mixed) -> io::Result<()> {
    Ok(())
}

/// Fills a folder with small files of three kinds.
///
/// # Errors
/// If the folder cannot be filled.
pub fn plain(root: &Path, files: usize) -> io::Result<()> {
    for number in 0..files {
        let word = word(number);
        let (ending, text) = match number % 3 {
            0 => ("md", format!("# File {number}\n\nIt tells of {word}.\n")),
            1 => ("html", page(&format!("File {number}"), &format!("<p>It tells of {word}.</p>"))),
            _ => ("txt", format!("File {number} tells of {word}.\n")),
        };
        write(root, format!("{}/{number}.{ending}", number % 11).as_ref(), text.as_bytes())?;
    }
    Ok(())
}

/// Writes the pages of a web site: a tree in which each page links to three others, with links
/// back, links in every common spelling, and links that lead nowhere or outside.
///
/// # Errors
/// If the folder cannot be filled.
pub fn web_site(root: &Path, pages: usize) -> io::Result<()> {
    for number in 0..pages {
        let mut links = String::new();
        for child in (3 * number + 1..=3 * number + 3).filter(|child| *child < pages) {
            let target = match child % 4 {
                0 => format!("/{}", place(child)),
                1 => format!("{}#part", up(&place(child))),
                2 => format!("./{}", up(&place(child))),
                _ => format!("{}\n", up(&place(child))),
            };
            links.push_str(&format!("<li><a href='{target}'>Page {child}</a></li>\n"));
        }
        let body = format!(
            "<p>This page, number {number}, tells of {}. It has enough words to be the text of the page.</p>\n\
             <ul>{links}</ul>\n<p><a href='/'>Home</a> <a href='../missing.html'>Lost</a> \
             <a href='https://example.org/'>Outside</a> <a href='mailto:a@b.example'>Mail</a> \
             <a href='/style.css'>Style</a></p>",
            word(number)
        );
        write(root, place(number).as_ref(), page(&format!("Page {number}"), &body).as_bytes())?;
    }
    Ok(())
}

/// The file of a page, below the root.
fn place(number: usize) -> String {
    match number {
        0 => "index.html".to_owned(),
        _ => format!("part {}/page-{number}.html", number % 5),
    }
}

/// A path from the root as a link from any page: one folder up does not hurt at the root.
fn up(place: &str) -> String {
    format!("../{}", place.replace(' ', "%20"))
}

/// Walks the links of a folder's pages by itself, from the index. Returns the pages' addresses below
/// the site's own, as a browser writes them.
///
/// # Errors
/// If a file cannot be read.
pub fn reachable(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let mut queue = VecDeque::from(["/".to_owned()]);
    while let Some(address) = queue.pop_front() {
        let file = if address == "/" { "/index.html" } else { &address };
        let text = fs::read_to_string(root.join(file[1..].replace("%20", " ")))?;
        for link in text.split("href='").skip(1).filter_map(|rest| rest.split('\'').next()) {
            let link = link.trim().split('#').next().unwrap_or_default();
            let target = match link.strip_prefix("../").or(link.strip_prefix("./../")) {
                Some(rest) => format!("/{rest}"),
                None => link.to_owned(),
            };
            let target = target.replace(' ', "%20");
            let exists = root.join(target.trim_start_matches('/').replace("%20", " ")).is_file();
            let is_page = target == "/" || (target.ends_with(".html") && exists);
            if is_page && seen.insert(target.clone()) {
                queue.push_back(target);
            }
        }
    }
    Ok(seen)
}

/// Writes a file and the folders above it.
///
/// # Errors
/// If it cannot be written.
pub fn write(root: &Path, name: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, bytes)?;
    Ok(path)
}

/// A word that no other number has.
#[must_use]
pub fn word(number: usize) -> String {
    const SYLLABLES: [&str; 10] = ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu"];
    let digits = format!("{number:04}");
    digits.bytes().map(|digit| SYLLABLES[usize::from(digit - b'0')]).collect()
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{title}</title></head>\n\
         <body><main><h1>{title}</h1>\n{body}\n</main></body></html>\n"
    )
}

/// A PDF file of one page with one line of text.
#[must_use]
pub fn pdf(line: &str) -> Vec<u8> {
    let content = format!("BT /F1 18 Tf 72 720 Td (This paper is about {line}.) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
            .to_owned(),
    ];
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", at + 1).bytes());
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    file.extend(places.iter().flat_map(|place| format!("{place:010} 00000 n \n").into_bytes()));
    let trailer = format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    file.extend(trailer.bytes());
    file
}

/// A small file system in memory, which only the administrator may mount.
#[cfg(target_os = "linux")]
pub struct Disk(PathBuf);

#[cfg(target_os = "linux")]
impl Disk {
    /// Mounts it on a folder. None, with a note in the test's output, where that is not allowed.
    #[must_use]
    pub fn mount(at: PathBuf, options: &str) -> Option<Self> {
        match mount(&["-t", "tmpfs", "-o", options, "quaero-test"], &at) {
            Ok(()) => Some(Self(at)),
            Err(error) => {
                not_tested(&format!(
                    "disks that are full: no file system can be mounted here ({error})"
                ));
                None
            }
        }
    }

    /// Mounts it again with other options.
    ///
    /// # Panics
    /// If that fails.
    pub fn change(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], &self.0).expect("it was mounted by us");
    }

    /// Bytes that are left.
    ///
    /// # Panics
    /// If it does not tell.
    #[must_use]
    pub fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.0).expect("it is mounted");
        disk.f_bavail * disk.f_frsize
    }
}

#[cfg(target_os = "linux")]
impl Disk {
    /// How many files and folders there are on it, its own among them.
    ///
    /// # Panics
    /// If it does not tell.
    #[must_use]
    pub fn files(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.0).expect("it is mounted");
        disk.f_files - disk.f_ffree
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        let done = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !done.is_ok_and(|status| status.success()) {
            note(&format!("{} could not be unmounted", self.0.display()));
        }
    }
}

#[cfg(target_os = "linux")]
fn mount(args: &[&str], at: &Path) -> Result<(), String> {
    let output = std::process::Command::new("mount")
        .args(args)
        .arg(at)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
