//! Which password is in force, and that a session never has another one.

use super::*;
use crate::cluster::{ObjectRef, SecretText};
use crate::intent::MissingSecret;

/// Whether the Peer `name` has the right password by this source.
fn found_of(
    passwords: &mut Passwords,
    name: &str,
    source: &PasswordSource,
) -> Result<bool, String> {
    let object = ObjectRef::cluster("Peer", name);
    let found = passwords.find_of(&object, source);
    found.map(|password| password == "right".parse().unwrap())
}

fn secret(found: Result<&str, MissingSecret>) -> PasswordSource {
    PasswordSource::Secret {
        name: "ns/other".to_owned(),
        key: "key".to_owned(),
        found: found.map(SecretText::new),
    }
}

fn file(found: Option<Result<&str, &str>>, later: Option<&str>) -> PasswordFile {
    let found = found.map(|found| found.map(SecretText::new).map_err(str::to_owned));
    PasswordFile {
        found,
        later: later.map(str::to_owned),
    }
}

/// A Secret under another name, of which an overloaded API server says "later".
#[test]
fn the_password_in_force_stays_until_there_is_an_answer_and_not_a_moment_longer() {
    let overloaded = || secret(Err(MissingSecret::Later("429 Too Many Requests".into())));
    let hanging = PasswordSource::File("/never/read".into());
    let mut passwords = Passwords::default();
    let closed = found_of(&mut passwords, "a", &overloaded());
    assert!(closed.unwrap_err().contains("429"), "it never had one");
    for source in [overloaded(), hanging] {
        let mut found =
            |name: &str, source: &PasswordSource| found_of(&mut passwords, name, source);
        assert_eq!(found("a", &secret(Ok("right"))), Ok(true));
        for _ in 0..2 {
            assert_eq!(found("a", &source), Ok(true));
        }
        assert!(found("b", &source).is_err(), "another one's");
        assert_eq!(found("a", &secret(Ok("wrong"))), Ok(false));
        assert_eq!(found("a", &source), Ok(false), "the last");
    }
    // What is known to be missing is in force no more, nor is it after that.
    for missing in [
        MissingSecret::NoSecret,
        MissingSecret::Refused("403 Forbidden".into()),
        MissingSecret::NoKey,
        MissingSecret::NotText,
    ] {
        let mut found = |source: &PasswordSource| found_of(&mut passwords, "a", source);
        assert_eq!(found(&secret(Ok("right"))), Ok(true));
        assert!(found(&secret(Err(missing))).is_err());
        assert!(found(&overloaded()).is_err());
    }
}

#[test]
fn a_file_that_was_never_read_has_no_password_and_one_that_cannot_be_read_now_its_last() {
    for (known, expected) in [
        (
            file(None, None),
            Err("it has not been read yet: its file system does not answer"),
        ),
        (
            file(None, Some("EMFILE")),
            Err("it has not been read yet: EMFILE"),
        ),
        (
            file(Some(Err("No such file")), None),
            Err("/p: No such file"),
        ),
        (
            file(Some(Err("No such file")), Some("EIO")),
            Err("/p: No such file"),
        ),
        (file(Some(Ok("right\n")), None), Ok(true)),
        (file(Some(Ok("right")), Some("EIO")), Ok(true)),
        (file(Some(Ok("wrong")), None), Ok(false)),
        (file(Some(Ok("")), None), Err("password of 0 octets")),
    ] {
        let mut passwords = Passwords::default();
        passwords.set_files([("/p".into(), known.clone())].into());
        let found = found_of(&mut passwords, "a", &PasswordSource::File("/p".into()));
        match (found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{known:?}"),
        }
    }
}

#[test]
fn a_session_whose_password_is_gone_ends_and_one_whose_file_cannot_be_read_now_goes_on() {
    let mut owner = Owner::new();
    let known = |file: PasswordFile| Input::PasswordFiles([("/p".into(), file)].into());
    let wanted = tor("tor", "password: {file: /p}");
    assert_eq!(owner.want(&wanted), ["set 1 External"]);
    for (file, expected) in [
        (file(Some(Ok("right")), None), &["start 1 192.0.2.1"][..]),
        (file(Some(Ok("right")), None), &[]),
        (file(None, Some("EIO")), &[]),
        (file(Some(Ok("wrong")), None), &["reconfigure 1"]),
        (
            file(Some(Err("No such file")), None),
            &["stop 1 ConfigurationChange"],
        ),
        (file(None, Some("EIO")), &[]),
        (file(Some(Ok("right")), None), &["start 1 192.0.2.1"]),
    ] {
        owner.feed(known(file.clone()));
        assert_eq!(owner.look_after(5), expected, "{file:?}");
    }
}

/// The mesh has another password, and one node is no longer of it.
#[test]
fn a_node_that_leaves_keeps_its_password_to_itself() {
    let known = |right: PasswordFile, new: PasswordFile| {
        Input::PasswordFiles([("/old".into(), right), ("/new".into(), new)].into())
    };
    let mesh = |file: &str, others: &[u8]| {
        let router = format!("{{mesh: {{password: {{file: {file}}}}}}}");
        let others = others.iter().map(|number| node(*number, ""));
        ours("Router", "default", &router) + &node(11, "") + &others.collect::<String>()
    };
    let mut owner = Owner::new();
    let [right, wrong] = ["right", "wrong"].map(|text| file(Some(Ok(text)), None));
    owner.feed(known(right.clone(), wrong.clone()));
    owner.want(&mesh("/old", &[12, 13]));
    owner.session(1, State::Established);
    owner.session(2, State::Established);
    assert_eq!(owner.want(&mesh("/new", &[13])), ["reconfigure 2"]);
    // Its own changes, and those of others cannot be read.
    let later = file(None, Some("EIO"));
    for [old, new] in [
        [wrong, later.clone()],
        [right, later.clone()],
        [later.clone(), later],
    ] {
        owner.feed(known(old, new));
        assert_eq!(owner.look_after(2), [""; 0]);
    }
    assert_eq!(
        owner.look_after(5),
        ["stop 1 Deconfigured", "remove 1"],
        "the other one goes on with its password"
    );
}
