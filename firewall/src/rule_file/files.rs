//! Reads exactly the files that the operator named, each in a consistent state.
//!
//! A file is opened once, and all checks use its descriptor: it must be a regular file, within its
//! limit, and must not change while it is read. The folder part of a name is taken as it is
//! written; below the folder of a rule file, and in a folder that is named otherwise, symbolic
//! links lead to what is beneath that folder or nowhere (`RESOLVE_BENEATH` of `openat2(2)`, Linux
//! 5.6): a user who may write list files cannot make this process read others instead.

use std::{
    fs::{self, File, FileType},
    io::{self, Read as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _},
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::Mode,
};

/// Opening never blocks, and a file never becomes the controlling terminal.
const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY);

/// The flags to open a folder only for lookups in it.
const FIND: OFlag = OFlag::O_PATH
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_DIRECTORY);

/// Reads a file of at most `limit` bytes; its path may contain any symbolic links.
///
/// # Errors
///
/// When it cannot be opened, is not a regular file, is longer, or changes meanwhile.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    contents(open(path, READ, Mode::empty())?, limit)
}

/// The folder of a rule file, in which the files that it names are.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder of this rule file.
    pub(crate) fn of(rules: &Path) -> Self {
        Self(rules.parent().unwrap_or(Path::new("")).to_owned())
    }

    /// This folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The path of a file that the rule file names.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Reads a file that the rule file names, like [`read`].
    ///
    /// # Errors
    ///
    /// Those of [`read`], and when a symbolic link leads out of the folder.
    pub(crate) fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let (folder, name) = self.split(Path::new(name))?;
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &folder
        };
        let beneath = open(folder, FIND, Mode::empty())?;
        contents(open_beneath(beneath, folder, name)?, limit)
    }

    /// What stays within the folder of the rule file is one name in that; of another path all but the
    /// last name is a folder that the operator named.
    fn split<'n>(&self, name: &'n Path) -> io::Result<(PathBuf, &'n Path)> {
        let mut parts = name.components();
        if parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Ok((self.0.clone(), name));
        }
        match (name.parent(), name.file_name()) {
            (Some(folder), Some(file)) => Ok((self.0.join(folder), Path::new(file))),
            (_, _) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

fn open_beneath(beneath: impl AsFd, folder: &Path, name: &Path) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(READ)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(beneath, name, how).map_err(|error| {
        if matches!(error, Errno::EXDEV | Errno::ELOOP) {
            let message = format!(
                "a symbolic link leads out of `{}`: name the file that it leads to",
                folder.display()
            );
            io::Error::new(io::ErrorKind::PermissionDenied, message)
        } else {
            error.into()
        }
    })
}

fn contents(file: OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::from(file);
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is {}, not a regular file", kind(before.file_type())),
        ));
    }
    let too_long = || {
        let message = format!("longer than {limit} bytes");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    };
    if before.len() > limit {
        return too_long();
    }
    let mut bytes = Vec::new();
    (&mut file).take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return too_long();
    }
    let after = file.metadata()?;
    let content = |of: &fs::Metadata| (of.len(), of.mtime(), of.mtime_nsec());
    let inode = |of: &fs::Metadata| (of.ctime(), of.ctime_nsec());
    // The time of the content can be put back, that of the inode cannot. It changes, too, when
    // another file is renamed over this one, which then has a link less.
    let is_replaced = before.nlink() != after.nlink();
    let is_same =
        content(&before) == content(&after) && (is_replaced || inode(&before) == inode(&after));
    // The size of what is made as it is read is 0, as in `/proc`.
    let is_whole =
        before.len() == 0 || before.len() == bytes.len() as u64 && has_content(&file, &bytes)?;
    if !is_same || !is_whole {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok(bytes)
}

/// Whether a file has these bytes still. Writes through a mapping change its times only now and then.
fn has_content(file: &File, bytes: &[u8]) -> io::Result<bool> {
    const STEP: usize = 1 << 16;
    let mut again = Vec::with_capacity(STEP);
    let mut at = 0;
    for part in bytes.chunks(STEP) {
        again.resize(part.len(), 0);
        match file.read_exact_at(&mut again, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if again != part {
            return Ok(false);
        }
        at += part.len() as u64;
    }
    Ok(true)
}

fn kind(of: FileType) -> &'static str {
    if of.is_dir() {
        "a folder"
    } else if of.is_fifo() {
        "a pipe"
    } else if of.is_socket() {
        "a socket"
    } else if of.is_char_device() || of.is_block_device() {
        "a device"
    } else {
        "something else"
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
        sync::atomic::{AtomicBool, Ordering},
        thread,
        time::{Duration, Instant},
    };

    use nix::unistd::mkfifo;

    use super::*;

    /// `etc` with a rule file, `etc/lists` with a list, and `secret` beside.
    fn tree() -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let etc = base.path().join("etc");
        fs::create_dir_all(etc.join("lists")).unwrap();
        fs::write(etc.join("rules.toml"), "rules").unwrap();
        fs::write(etc.join("lists/list"), "list").unwrap();
        fs::write(base.path().join("secret"), "secret").unwrap();
        (base, etc)
    }

    #[test]
    fn files_are_read_up_to_their_limit() {
        let (_base, etc) = tree();
        let path = etc.join("lists/list");
        assert_eq!(read(&path, 4).unwrap(), b"list");
        let error = read(&path, 3).unwrap_err();
        assert_eq!(error.to_string(), "longer than 3 bytes");
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_is_waited_for() {
        let (_base, etc) = tree();
        let pipe = etc.join("pipe");
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let socket = etc.join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let begin = Instant::now();
        for (path, said) in [
            (pipe.as_path(), "it is a pipe, not a regular file"),
            (&etc, "it is a folder, not a regular file"),
            (Path::new("/dev/zero"), "it is a device, not a regular file"),
        ] {
            assert_eq!(read(path, 100).unwrap_err().to_string(), said);
            let named = Folder::of(Path::new("/x")).read(path.to_str().unwrap(), 100);
            assert_eq!(named.unwrap_err().to_string(), said);
        }
        // It cannot even be opened.
        assert_eq!(
            read(&socket, 9).unwrap_err().raw_os_error(),
            Some(libc::ENXIO)
        );
        assert!(begin.elapsed() < Duration::from_secs(5));
        // Of a size that is not known beforehand.
        assert!(
            !read(Path::new("/proc/self/status"), 1 << 16)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_refused_or_read_whole() {
        let (_base, etc) = tree();
        let path = etc.join("growing");
        fs::write(&path, vec![b'a'; 1 << 20]).unwrap();
        let done = AtomicBool::new(false);
        let mut refused = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                use io::Write as _;
                let mut file = File::options().append(true).open(&path).unwrap();
                while !done.load(Ordering::Relaxed) {
                    file.write_all(&[b'b'; 512]).unwrap();
                }
            });
            let begin = Instant::now();
            while refused == 0 && begin.elapsed() < Duration::from_secs(20) {
                match read(&path, 1 << 26) {
                    Ok(bytes) => assert_eq!(bytes.len() % 512, 0),
                    Err(error) => {
                        refused += 1;
                        let said = error.to_string();
                        assert!(
                            said.contains("it changed") || said.contains("longer"),
                            "{said}"
                        );
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(refused, 1);
    }

    #[test]
    fn a_file_that_is_written_in_place_is_never_read_in_parts_though_its_time_is_put_back() {
        let (_base, etc) = tree();
        let path = etc.join("in place");
        let version = |byte| vec![byte; 4 << 20];
        fs::write(&path, version(b'a')).unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let done = AtomicBool::new(false);
        let (mut whole, mut refused) = (0, 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let file = File::options().write(true).open(&path).unwrap();
                let versions = [version(b'b'), version(b'a')];
                for bytes in versions.iter().cycle() {
                    file.write_all_at(bytes, 0).unwrap();
                    file.set_modified(time).unwrap();
                    thread::sleep(Duration::from_millis(3));
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let begin = Instant::now();
            while (refused < 20 || whole < 20) && begin.elapsed() < Duration::from_secs(20) {
                match read(&path, 1 << 26) {
                    Ok(bytes) => {
                        assert!(bytes.iter().all(|byte| Some(byte) == bytes.first()));
                        whole += 1;
                    }
                    Err(_changed) => refused += 1,
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(refused > 0, "{whole} were read, none was refused");
    }

    #[test]
    fn what_is_not_still_the_same_is_seen_without_times() {
        let (_base, etc) = tree();
        let path = etc.join("list");
        fs::write(&path, vec![b'a'; 100_000]).unwrap();
        let file = File::open(&path).unwrap();
        let mut bytes = vec![b'a'; 100_000];
        assert!(has_content(&file, &bytes).unwrap());
        *bytes.last_mut().unwrap() = b'b';
        assert!(!has_content(&file, &bytes).unwrap());
        bytes.push(b'a');
        assert!(!has_content(&file, &bytes).unwrap());
    }

    #[test]
    fn links_lead_to_what_is_beneath_the_named_folder_or_nowhere() {
        let (base, etc) = tree();
        let folder = Folder::of(&etc.join("rules.toml"));
        let secret = base.path().join("secret");
        let out = |name: &str| {
            let error = folder.read(name, 100).unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::PermissionDenied,
                "{name}: {error}"
            );
            assert!(
                error.to_string().contains("name the file"),
                "{name}: {error}"
            );
        };
        symlink("list", etc.join("lists/current")).unwrap();
        symlink("lists/list", etc.join("beneath")).unwrap();
        for name in ["lists/list", "./lists/list", "lists/current", "beneath"] {
            assert_eq!(folder.read(name, 100).unwrap(), b"list", "{name}");
        }
        symlink(&secret, etc.join("lists/absolute")).unwrap();
        symlink("../../secret", etc.join("lists/relative")).unwrap();
        symlink("../..", etc.join("lists/up")).unwrap();
        symlink("/proc/self/fd/0", etc.join("lists/magic")).unwrap();
        symlink("loop", etc.join("lists/loop")).unwrap();
        for name in ["absolute", "relative", "up/secret", "magic", "loop"] {
            out(&format!("lists/{name}"));
        }
        // What is written is meant: above, or anywhere else; but no link in the place of the file.
        assert_eq!(folder.read("../secret", 100).unwrap(), b"secret");
        assert_eq!(folder.read("lists/../../secret", 100).unwrap(), b"secret");
        assert_eq!(
            folder.read(secret.to_str().unwrap(), 100).unwrap(),
            b"secret"
        );
        let absolute = etc.join("lists/absolute");
        out(absolute.to_str().unwrap());
        out("../etc/lists/absolute");
        // A folder that is named may be a link.
        symlink(etc.join("lists"), base.path().join("other")).unwrap();
        assert_eq!(folder.read("../other/list", 100).unwrap(), b"list");
        // The rule file, too.
        symlink(etc.join("rules.toml"), base.path().join("rules.toml")).unwrap();
        assert_eq!(
            read(&base.path().join("rules.toml"), 100).unwrap(),
            b"rules"
        );
        assert!(folder.read("..", 100).is_err());
    }

    #[test]
    fn a_file_is_never_swapped_for_a_link_between_look_and_read() {
        let (base, etc) = tree();
        let folder = Folder::of(&etc.join("rules.toml"));
        let list = etc.join("lists/list");
        symlink(base.path().join("secret"), etc.join("link")).unwrap();
        fs::write(etc.join("file"), "list").unwrap();
        let done = AtomicBool::new(false);
        let (mut read, mut refused) = (0, 0);
        let mut others = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for from in ["link", "file"] {
                        let next = etc.join("next");
                        if from == "link" {
                            symlink(base.path().join("secret"), &next).unwrap();
                        } else {
                            fs::write(&next, "list").unwrap();
                        }
                        fs::rename(&next, &list).unwrap();
                    }
                }
            });
            let begin = Instant::now();
            while (read < 100 || refused < 100) && begin.elapsed() < Duration::from_secs(20) {
                match folder.read("lists/list", 100) {
                    Ok(bytes) if bytes == b"list" => read += 1,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused += 1,
                    // A panic would leave the other thread running.
                    wrong => {
                        others.push(wrong);
                        break;
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(others.is_empty(), "{others:?}");
        assert!(read >= 100 && refused >= 100, "{read} {refused}");
    }
}
