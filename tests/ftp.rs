//! FTP against ProFTPD: what was put there comes here and the other way round, each version once, whatever is killed or cut.

mod evil;
mod haste;
mod kills;
mod odd;
mod proxy;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::lab::Lab;
use crate::services::variables;

/// A server for all stories of this module; each has a folder of its own there.
pub(super) struct Server {
    pub(super) host: String,
    root: PathBuf,
    ca: String,
}

pub(super) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let told = variables("proftpd");
        Server {
            host: told["FTP_HOST"].clone(),
            root: PathBuf::from(&told["FTP_ROOT"]),
            ca: told["FTP_CA"].clone(),
        }
    })
}

/// A server of another make.
fn other() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let told = variables("pyftpd");
        Server {
            host: told["PYFTP_HOST"].clone(),
            root: PathBuf::from(&told["PYFTP_ROOT"]),
            ca: told["PYFTP_CA"].clone(),
        }
    })
}

impl Server {
    /// A fresh folder on the server, as it is seen from here; the server's user may write there.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::create_dir_all(&path).expect("a folder on the server");
        open_to_all(&path);
        path
    }

    /// The `<server>` element, with further attributes.
    fn element(&self, further: &str) -> String {
        element(&self.host, further)
    }
}

/// The `<server>` element for a host.
pub(super) fn element(host: &str, further: &str) -> String {
    format!("<server host=\"{host}\" user=\"demo\" password=\"secret\" {further}/>")
}

/// ProFTPD serves as nobody where the tests run as root.
pub(super) fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("its mode");
}

/// Runs a job of this content once.
pub(super) fn run(lab: &Lab, name: &str, content: &str) -> Output {
    let path = lab.job(name, &format!("<ftp name=\"{name}\">{content}</ftp>"));
    lab.run("jobs", ["run".as_ref(), path.as_os_str()])
}

/// As [`run`], and it must go well; what it says.
pub(super) fn good(lab: &Lab, name: &str, content: &str) -> String {
    let output = run(lab, name, content);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    said
}

/// Files below a folder with their bytes; temporary ones are left out.
pub(super) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if !entry.file_name().to_string_lossy().starts_with('.')
                && let Ok(bytes) = fs::read(&path)
            {
                let name = path
                    .strip_prefix(root)
                    .expect("below the root")
                    .to_string_lossy()
                    .into_owned();
                found.insert(name, bytes);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// Names with a leading dot below a folder: what should not be left behind.
pub(super) fn leftovers(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(leftovers(&entry.path()));
        } else if entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found
}

/// A few files of many sizes, also in folders, with strange but honest names.
pub(super) fn fill(root: &Path, seed: u8) {
    for (n, size) in [0_usize, 1, 1000, 65_536, 300_001].into_iter().enumerate() {
        let bytes: Vec<u8> = (0..size)
            .map(|at| seed.wrapping_add(u8::try_from(at % 251).expect("below 251")))
            .collect();
        for name in [
            format!("plain_{n}.xml"),
            format!("sub/deep er/with space {n}.xml"),
            format!("sub/站号_{n}.xml"),
        ] {
            let path = root.join(name);
            let dir = path.parent().expect("a folder");
            fs::create_dir_all(dir).expect("a folder");
            for made in dir.ancestors().take_while(|dir| dir.starts_with(root)) {
                open_to_all(made);
            }
            fs::write(&path, &bytes).expect("a file");
        }
    }
}

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000)
}

fn there_and_back(server: &Server, name: &str, attributes: &str) {
    let lab = Lab::new();
    let there = server.folder(name);
    let out = lab.path("out");
    fill(&out, 7);
    fs::File::options()
        .append(true)
        .open(out.join("plain_2.xml"))
        .expect("the file of a story")
        .set_modified(long_ago())
        .expect("the file of a story");
    let server = server.element(attributes);
    let put = format!(
        "{server}<put from=\"out\" to=\"/{name}/in\" recurse=\"true\" connections=\"3\" stable=\"0s\"/>"
    );
    let get = format!(
        "{server}<get from=\"/{name}/in\" to=\"back\" recurse=\"true\" connections=\"3\" stable=\"0s\"/>"
    );
    good(&lab, "put", &put);
    assert_eq!(tree(&there.join("in")), tree(&out));
    good(&lab, "get", &get);
    assert_eq!(tree(&lab.path("back")), tree(&out));
    let time = fs::metadata(lab.path("back/plain_2.xml"))
        .expect("the file of a story")
        .modified()
        .expect("the file of a story");
    assert_eq!(time, long_ago());
    // nothing new moves nothing, on either way
    for (name, job) in [("put", &put), ("get", &get)] {
        assert!(good(&lab, name, job).contains("done in"), "{name}");
    }
    // a changed file moves alone
    fs::write(out.join("plain_1.xml"), "changed").expect("the file of a story");
    assert!(good(&lab, "put", &put).contains(" 1 file,"));
    assert!(good(&lab, "get", &get).contains(" 1 file,"));
    assert_eq!(tree(&lab.path("back")), tree(&out));
    assert_eq!(leftovers(lab.path("").as_path()), Vec::<PathBuf>::new());
    assert_eq!(leftovers(&there), Vec::<PathBuf>::new());
}

#[test]
fn there_and_back_by_mlsd() {
    there_and_back(server(), "mlsd", "");
}

#[test]
fn there_and_back_by_list() {
    there_and_back(server(), "list", "listing=\"list\" mode=\"passive\"");
}

#[test]
fn there_and_back_in_active_mode() {
    there_and_back(server(), "active", "mode=\"active\"");
}

#[test]
fn there_and_back_by_tls_with_resumed_sessions() {
    there_and_back(
        server(),
        "tls",
        &format!("tls=\"explicit\" ca=\"{}\"", server().ca),
    );
}

#[test]
fn there_and_back_with_another_server() {
    there_and_back(other(), "other", "");
    there_and_back(other(), "otherlist", "listing=\"list\"");
    let tls = format!("tls=\"explicit\" ca=\"{}\"", other().ca);
    there_and_back(other(), "othertls", &tls);
}

#[test]
fn names_in_gbk_are_what_they_say() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("gbk");
    lab.write("out/站号.csv", "a,b\n");
    let element = server.element("encoding=\"gbk\"");
    good(
        &lab,
        "put",
        &format!("{element}<put from=\"out\" to=\"/gbk\" stable=\"0s\"/>"),
    );
    let name = fs::read_dir(&there)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .file_name();
    assert_eq!(
        name.as_encoded_bytes(),
        [0xd5, 0xbe, 0xba, 0xc5, b'.', b'c', b's', b'v']
    );
    good(
        &lab,
        "get",
        &format!("{element}<get from=\"/gbk\" to=\"back\" stable=\"0s\"/>"),
    );
    assert_eq!(tree(&lab.path("back")), tree(&lab.path("out")));
}

#[test]
fn sources_go_once_the_other_side_has_them() {
    let (lab, server) = (Lab::new(), server());
    let there = server.folder("then");
    fill(&there.join("a"), 1);
    open_to_all(&there.join("a"));
    let before = tree(&there.join("a"));
    let element = server.element("");
    let get = |name: &str, from: &str, then: &str| {
        let content = format!(
            "{element}<get from=\"/then/{from}\" to=\"{name}\" then=\"{then}\" recurse=\"true\" stable=\"0s\"/>"
        );
        good(&lab, name, &content);
        assert_eq!(tree(&lab.path(name)), before, "{then}");
    };
    get("moved", "a", "move:/then/a/old");
    assert_eq!(tree(&there.join("a/old")), before);
    // what was moved away below the folder is not found again
    good(
        &lab,
        "moved",
        &format!(
            "{element}<get from=\"/then/a\" to=\"moved\" then=\"move:/then/a/old\" recurse=\"true\" stable=\"0s\"/>"
        ),
    );
    get("deleted", "a/old", "delete");
    assert_eq!(tree(&there), BTreeMap::new());
    let put = |name: &str, from: &str, then: &str| {
        let content = format!(
            "{element}<put from=\"{from}\" to=\"/then/{name}\" then=\"{then}\" recurse=\"true\" stable=\"0s\"/>"
        );
        good(&lab, name, &content);
        assert_eq!(tree(&there.join(name)), before, "{then}");
    };
    put("p1", "moved", "move:moved/sent");
    assert_eq!(tree(&lab.path("moved/sent")), before);
    put("p2", "moved/sent", "delete");
    assert_eq!(tree(&lab.path("moved")), BTreeMap::new());
}

#[test]
fn faults_have_their_codes_and_say_what_they_are() {
    let (lab, server) = (Lab::new(), server());
    server.folder("faults");
    let secret = element(&server.host, "").replace("\"secret\"", "\"wr0ng-one\"");
    let nobody = element("127.0.0.1:1", "retries=\"0\"");
    let distrusted = server.element("tls=\"explicit\"");
    for (code, words, content) in [
        (
            77,
            "530",
            format!("{secret}<get from=\"/faults\" to=\"in\"/>"),
        ),
        (
            69,
            "Connection refused",
            format!("{nobody}<get from=\"/faults\" to=\"in\"/>"),
        ),
        (
            69,
            "certificate",
            format!("{distrusted}<get from=\"/faults\" to=\"in\"/>"),
        ),
        (
            65,
            "no folder",
            format!("{}<get from=\"/nowhere\" to=\"in\"/>", server.element("")),
        ),
        (
            78,
            "keep, delete",
            format!(
                "{}<get from=\"/faults\" to=\"in\" then=\"burn\"/>",
                server.element("")
            ),
        ),
        (
            78,
            "no encoding",
            format!(
                "{}<get from=\"/faults\" to=\"in\"/>",
                server.element("encoding=\"klingon\"")
            ),
        ),
    ] {
        let output = run(&lab, "fault", &content);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains(words) && !said.contains("wr0ng-one"),
            "{said}"
        );
    }
}

#[test]
fn check_logs_in_lists_and_changes_nothing() {
    let (lab, server) = (Lab::new(), server());
    fill(&server.folder("check"), 3);
    let content = format!(
        "<ftp name=\"look\">{}<get from=\"/check\" to=\"in\" recurse=\"true\"/></ftp>",
        server.element("")
    );
    let path = lab.job("look", &content);
    let said = lab.good("jobs", ["check".as_ref(), "-v".as_ref(), path.as_os_str()]);
    assert!(
        said.contains("logged in as demo") && said.contains("15 files"),
        "{said}"
    );
    assert!(!lab.path("in").exists() && !lab.path("state").join("look.db").exists());
    let said = lab.good(
        "jobs",
        ["run".as_ref(), "--dry-run".as_ref(), path.as_os_str()],
    );
    assert!(said.contains("get /check/plain_0.xml"), "{said}");
}
