//! The package that `npm pack` makes of `client-js/`, as a user installs it.

use std::{path::Path, process::Command};

use anyhow::Context as _;
use fourways_e2e::{Server, run};

/// Program that reads and publishes by each technique from an installed package, and ends by itself.
const USE: &str = "
    import { publish, subscribe } from 'fourways-client';
    globalThis.WebSocket ??= (await import('node:module')).createRequire('/')('ws').WebSocket;
    const url = process.argv[2];
    for (const technique of ['websocket', 'sse', 'long_poll', 'short_poll']) {
      const seen = [];
      const stream = subscribe(`pack.${technique}`, ({ data }) => seen.push(data), { url, techniques: [technique], pollMs: 100, after: 'earliest' });
      for (const data of [1, 2, 3]) await publish(`pack.${technique}`, data, { url });
      while (seen.length < 3) await new Promise(done => setTimeout(done, 20));
      stream.close();
      console.log(technique, seen.join());
    }
    try {
      subscribe('a', () => {});
    } catch (error) {
      console.log(error.message);
    }";

fn npm(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output =
        Command::new("npm").args(arguments).current_dir(folder).output().context("npm can't be started")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "npm {arguments:?}: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_package_is_made_installed_and_used() {
    run(async || {
        let server = Server::start()?;
        let folder = tempfile::tempdir()?;
        // Packing puts the licences beside the sources for a moment, so it is not done in the repository's own folder.
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let own = folder.path().join("repository/client-js");
        std::fs::create_dir_all(&own)?;
        for file in ["fourways.js", "fourways.d.ts", "package.json", "README.md"] {
            std::fs::copy(sources.join("client-js").join(file), own.join(file))?;
        }
        for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
            std::fs::copy(sources.join(file), folder.path().join("repository").join(file))?;
        }
        let packed = npm(&own, &["pack", "--json"])?;
        let packed: serde_json::Value =
            serde_json::from_str(&packed[packed.find('[').context("no list")?..])?;
        let files: Vec<&str> = packed[0]["files"]
            .as_array()
            .context("no files")?
            .iter()
            .filter_map(|file| file["path"].as_str())
            .collect();
        let wanted =
            ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "fourways.d.ts", "fourways.js", "package.json"];
        anyhow::ensure!(files == wanted, "{files:?}");
        let tarball = own.join(packed[0]["filename"].as_str().context("no file")?);
        let project = folder.path().join("project");
        std::fs::create_dir(&project)?;
        std::fs::write(
            project.join("package.json"),
            r#"{ "name": "project", "type": "module", "private": true }"#,
        )?;
        std::fs::write(project.join("main.js"), USE)?;
        let tarball = tarball.to_str().context("a path that is a text")?;
        npm(&project, &["install", "--offline", "--no-audit", "--no-fund", tarball])?;
        let output = Command::new("timeout")
            .args(["60", "node", "main.js", &server.url()])
            .current_dir(&project)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let expected =
            "websocket 1,2,3\nsse 1,2,3\nlong_poll 1,2,3\nshort_poll 1,2,3\noptions.url is missing\n";
        anyhow::ensure!(output.status.success() && said == expected, "{output:?}");
        Ok(())
    });
}
