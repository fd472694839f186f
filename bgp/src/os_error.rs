//! What the operating system refuses, in words: `Permission denied`, without the number of the error, and with what to do where
//! that is known.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;

/// An error of the operating system. Texts for people hold this and never an [`io::Error`], which writes `(os error 22)`.
#[derive(Debug)]
pub struct OsError(pub io::Error);

/// What to do, where the words of the system do not say it. Whoever knows more about the address or the file says more.
const ADVICE: [(i32, &str); 9] = [
    (
        libc::EMFILE,
        "raise the limit on open files (LimitNOFILE of systemd, ulimit -n)",
    ),
    (
        libc::ENFILE,
        "raise the system's limit on open files (sysctl fs.file-max)",
    ),
    (libc::ENOSPC, "make room there"),
    (libc::ENOBUFS, "the kernel has no memory left for it"),
    (libc::ENETUNREACH, "no route leads there"),
    (
        libc::EHOSTUNREACH,
        "nobody on the link answers for the address, or a router refuses",
    ),
    (
        libc::EADDRNOTAVAIL,
        "no interface of this host has the address",
    ),
    (
        libc::EAFNOSUPPORT,
        "the kernel has no such address family: is IPv6 disabled?",
    ),
    (libc::EPERM, "root or a capability is needed"),
];

impl OsError {
    /// An error without the number and, in the end, with what to do.
    pub fn words(error: &io::Error) -> String {
        let text = without_code(&error.to_string());
        let code = error.raw_os_error().or_else(|| inner(error));
        let mut known = ADVICE.iter().filter(|(of, _)| Some(*of) == code);
        match known.next() {
            Some((_, advice)) => format!("{text}: {advice}"),
            None => text,
        }
    }
}

/// The number of an error in another.
fn inner(error: &io::Error) -> Option<i32> {
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|cause| cause as _);
    while let Some(next) = cause {
        if let Some(io) = next.downcast_ref::<io::Error>() {
            return io.raw_os_error().or_else(|| inner(io));
        }
        cause = next.source();
    }
    None
}

/// A text of another library, without numbers of errors.
pub fn without_code(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(" (os error ") {
        left.push_str(&rest[..at]);
        rest = rest[at..].split_once(')').map_or("", |(_, after)| after);
    }
    left + rest
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::words(&self.0))
    }
}

impl Error for OsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl Deref for OsError {
    type Target = io::Error;

    fn deref(&self) -> &io::Error {
        &self.0
    }
}

impl From<io::ErrorKind> for OsError {
    fn from(kind: io::ErrorKind) -> Self {
        Self(kind.into())
    }
}

impl From<io::Error> for OsError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_goes_and_what_to_do_comes() {
        let raw = io::Error::from_raw_os_error;
        for (error, expected) in [
            (raw(libc::EACCES), "Permission denied"),
            (
                raw(libc::EPERM),
                "Operation not permitted: root or a capability is needed",
            ),
            (raw(libc::EINVAL), "Invalid argument"),
            (raw(libc::ECONNREFUSED), "Connection refused"),
            (raw(libc::EADDRINUSE), "Address already in use"),
            (
                raw(libc::ENETUNREACH),
                "Network is unreachable: no route leads there",
            ),
            (
                raw(libc::EMFILE),
                "Too many open files: raise the limit on open files (LimitNOFILE of systemd, ulimit -n)",
            ),
            (
                io::Error::other(raw(libc::ENETUNREACH)),
                "Network is unreachable: no route leads there",
            ),
            (
                io::Error::other("a (os error 1), b (os error 2) c"),
                "a, b c",
            ),
            (io::ErrorKind::TimedOut.into(), "timed out"),
        ] {
            assert_eq!(OsError::from(error).to_string(), expected);
        }
    }

    #[test]
    fn no_error_of_the_system_shows_its_number() {
        for code in 1..=133 {
            let text = OsError(io::Error::from_raw_os_error(code)).to_string();
            assert!(
                !text.contains("os error") && !text.is_empty(),
                "{code}: {text}"
            );
        }
    }
}
