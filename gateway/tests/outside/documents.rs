//! Both APIs held to their documents by outside judges: the documents are sound, and whatever is asked, however wrongly, is
//! answered as they say.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::client::Browser;
use crate::house::{ADMIN_TOKEN, House, Terms};
use crate::program::{judges, run, stderr, stdout};

const SHOPPERS: &str = "/.doorline/openapi.json";
const OPERATORS: &str = "/admin/v1/openapi.json";

/// What every answer is held to: no answer of 500 and above, no status, type or content that is not in the document, no door
/// open without its key, and 405 with `Allow` where there is no such method.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,unsupported_method,ignored_auth";

/// Asks whatever the document at `path` allows, and much that it does not: always the same requests.
async fn ask_everything(address: SocketAddr, path: &str, checks: &str, headers: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(judges().with_file_name("schemathesis"));
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(format!("http://{address}{path}"))
        .args(["--url", &format!("http://{address}")])
        .args(["--checks", checks, "--seed", "7", "--max-examples", "15"])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--generation-database",
            "none",
        ])
        .args([
            "--no-shrink",
            "--continue-on-failure",
            "--warnings",
            "off",
            "--no-color",
        ])
        .args(headers);
    let judged = run(command).await;
    let said = stdout(&judged);
    assert!(judged.status.success(), "{said}\n{}", stderr(&judged));
    assert!(
        said.contains("No issues found") && !said.contains(" 0 generated"),
        "{said}"
    );
}

/// Drops of any size: what is asked at random must not run out of anything.
fn plenty() -> Terms {
    Terms {
        stock: 100_000,
        total_active_users: 100_000,
        ..Terms::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_documents_are_sound() {
    let house = House::usual().await;
    let folder = tempfile::tempdir().expect("a folder");
    let documents = [
        (house.doorline.address, SHOPPERS),
        (house.doorline.admin_address, OPERATORS),
    ];
    for (address, path) in documents {
        let answer = Browser::new(address).get(path).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        let file = folder.path().join("document.json");
        std::fs::write(&file, &answer.body).expect("a writable folder");
        let mut command = Command::new(judges());
        command.args(["-m", "openapi_spec_validator"]).arg(&file);
        let judged = run(command).await;
        assert!(judged.status.success(), "{path}: {}", stdout(&judged));
    }
    house.close().await;
}

#[tokio::test]
async fn the_compose_file_is_what_the_compose_specification_allows() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
    let text = std::fs::read_to_string(file).expect("a compose file");
    let folder = tempfile::tempdir().expect("a folder");
    let mistaken = text.replacen("healthcheck:", "healthchecks:", 1);
    assert_ne!(text, mistaken);
    for (text, is_sound) in [(text, true), (mistaken, false)] {
        let file = folder.path().join("docker-compose.yml");
        std::fs::write(&file, text).expect("a writable folder");
        let mut command = Command::new(judges());
        command
            .args([
                "-m",
                "check_jsonschema",
                "--builtin-schema",
                "vendor.compose-spec",
            ])
            .arg(&file);
        let judged = run(command).await;
        assert_eq!(judged.status.success(), is_sound, "{}", stdout(&judged));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shopper_api_answers_everything_as_its_document_says() {
    let house = House::open(plenty()).await;
    ask_everything(house.doorline.address, SHOPPERS, CHECKS, &[]).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_api_answers_everything_as_its_document_says() {
    let house = House::open(plenty()).await;
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let checks = format!("{CHECKS},negative_data_rejection,missing_required_header");
    let address = house.doorline.admin_address;
    ask_everything(address, OPERATORS, &checks, &["-H", &bearer]).await;
    let audit = house.operator().get("/admin/v1/audit").await.expect(200).json();
    assert_eq!(audit["clean"], true, "whatever was asked, the books are right");
    house.close().await;
}

#[tokio::test]
async fn the_admin_document_is_given_without_the_token_and_holds_no_secret() {
    let house = House::usual().await;
    let anybody = Browser::new(house.doorline.admin_address);
    let document = anybody.get(OPERATORS).await.expect(200);
    assert!(!document.body.contains(ADMIN_TOKEN));
    let document: Value = document.json();
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    let refused = house
        .browser()
        .ask("TRACE", "/.doorline/v1/drops/aurora", &[], None)
        .await;
    assert_eq!(refused.status, 405);
    assert!(!refused.header("allow").is_empty(), "{refused:?}");
    house.close().await;
}
