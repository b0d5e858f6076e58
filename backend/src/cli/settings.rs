//! Settings from a file, and `fourways config`, which checks and lists them.
//!
//! A value in the file becomes the default of the flag that it names. So the flag's own parser reads it, or refuses it
//! in its usual words, and the environment and the command line override it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, parser::ValueSource};
use fourways_cluster::without_password;
use toml::{Table, Value};

/// Arguments of `fourways config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(clap::Subcommand, Debug)]
enum ConfigCommand {
    /// Read the settings file, the environment and the flags as `serve` would, with every file that they name, and
    /// print what is set and by what.
    Check(Box<crate::config::Config>),
    /// Print every setting and its default in the form of a settings file.
    List,
}

/// Flag that names the settings file.
const FLAG: &str = "--config";
const VARIABLE: &str = "FOURWAYS_CONFIG";

/// Returns the settings file that the arguments or the environment variable name; the arguments win.
pub fn file(arguments: &[OsString], variable: Option<OsString>) -> Option<PathBuf> {
    let given = arguments.iter().enumerate().find_map(|(at, argument)| {
        let text = argument.to_str()?;
        if text == FLAG {
            arguments.get(at + 1).cloned()
        } else {
            text.strip_prefix("--config=").map(OsString::from)
        }
    });
    given.or(variable).map(PathBuf::from)
}

/// Returns the settings file that this process's arguments or environment name.
pub fn own_file() -> Option<PathBuf> {
    file(&std::env::args_os().collect::<Vec<_>>(), std::env::var_os(VARIABLE))
}

/// Returns the command with the file's values as defaults of `serve` and of `config check`.
///
/// # Errors
/// If the file can't be read, is not TOML, names an unknown setting, or gives a setting a value of the wrong kind. The
/// error names the file and the fault.
pub fn with_file(command: Command, file: &Path) -> anyhow::Result<Command> {
    let read = || {
        let text = fs::read_to_string(file)?;
        apply(serve_of(&command), &text)
    };
    let serve = read().with_context(|| format!("{}", file.display()))?;
    let defaults: Vec<Arg> = serve.get_arguments().cloned().collect();
    let set = |mut to: Command| {
        for arg in &defaults {
            to = to.mut_arg(arg.get_id(), |_| arg.clone());
        }
        to
    };
    Ok(command
        .mut_subcommand("serve", set)
        .mut_subcommand("config", |config| config.mut_subcommand("check", set)))
}

fn serve_of(command: &Command) -> Command {
    // `serve` is always found: this is the program's own command.
    command.find_subcommand("serve").cloned().unwrap_or_default()
}

/// Makes the values of a settings file the defaults of the command's flags.
fn apply(mut command: Command, text: &str) -> anyhow::Result<Command> {
    let table: Table = text.parse().context("the file is not TOML")?;
    for (key, value) in table {
        let long = key.replace('_', "-");
        let known = command.get_arguments().find(|arg| arg.get_long() == Some(&long));
        let Some(arg) = known.filter(|arg| is_setting(arg)) else {
            let names: Vec<&str> = settings(&command).filter_map(Arg::get_long).collect();
            let near = names.iter().max_by_key(|name| similar(name, &long)).copied().unwrap_or_default();
            bail!("there is no setting {key:?}; did you mean {near:?}?");
        };
        let id = arg.get_id().clone();
        let values = values(&value).with_context(|| format!("{key} can't be set to {value}"))?;
        let takes_many = matches!(arg.get_action(), ArgAction::Append);
        ensure!(takes_many || values.len() == 1, "{key} takes one value");
        command = command.mut_arg(id, |arg| arg.default_values(values));
    }
    Ok(command)
}

fn values(value: &Value) -> anyhow::Result<Vec<String>> {
    Ok(match value {
        Value::String(text) => vec![text.clone()],
        Value::Integer(number) => vec![number.to_string()],
        Value::Float(number) => vec![number.to_string()],
        Value::Boolean(is_on) => vec![is_on.to_string()],
        Value::Array(items) => {
            let items: Vec<Vec<String>> = items.iter().map(values).collect::<Result<_, _>>()?;
            items.concat()
        }
        Value::Datetime(_) | Value::Table(_) => {
            bail!("allowed are strings, numbers, true, false and lists of them")
        }
    })
}

/// Returns the length of the common prefix plus that of the common suffix of two names, in bytes.
fn similar(a: &str, b: &str) -> usize {
    let head = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let tail = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    head + tail
}

fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| is_setting(arg))
}

/// True if the file can set the flag: `--help` and `--config` are no settings.
fn is_setting(arg: &Arg) -> bool {
    arg.get_env().is_some() && arg.get_id() != "config"
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn defaults(arg: &Arg) -> Vec<String> {
    let given: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if given.is_empty() && is_switch(arg) { vec![false.to_string()] } else { given }
}

/// Runs `fourways config`.
///
/// # Errors
/// If a setting is not valid, or standard output can't be written.
pub fn run(ask: &ConfigArgs, command: &Command, matches: &ArgMatches) -> anyhow::Result<()> {
    let text = match &ask.command {
        ConfigCommand::List => list(&serve_of(command)),
        ConfigCommand::Check(config) => {
            crate::server::Server::check(config)?;
            let matches = matches.subcommand_matches("config").and_then(|it| it.subcommand_matches("check"));
            matches.map(|matches| set_by(&serve_of(command), matches)).unwrap_or_default()
        }
    };
    print(&text)
}

fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(text.as_bytes()).context("can't write to standard output")
}

/// Returns a value without the passwords in the addresses that it may list.
fn shown(value: &str) -> String {
    value.split(',').map(without_password).collect::<Vec<_>>().join(",")
}

/// Returns a line for each setting that is not at its default, with its source, and the number of the others.
fn set_by(command: &Command, matches: &ArgMatches) -> String {
    let mut lines = String::new();
    let mut count = 0;
    for arg in settings(command) {
        let (id, name) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
        let file = own_file().map(|file| file.display().to_string()).unwrap_or_default();
        let by = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "a flag".to_owned(),
            Some(ValueSource::EnvVariable) => format!("{}", arg.get_env().unwrap_or_default().display()),
            _ => file,
        };
        let raw: Vec<String> = matches
            .get_raw(id)
            .map(|values| values.map(|value| shown(&value.to_string_lossy())).collect())
            .unwrap_or_default();
        let defaults = defaults(arg);
        let is_of_file = matches.value_source(id) == Some(ValueSource::DefaultValue);
        if raw.is_empty() || (is_of_file && raw == defaults) {
            continue;
        }
        count += 1;
        lines += &[&format!("{name} = {}", raw.join(", ")), "  (", &by, ")\n"].concat();
    }
    let rest = settings(command).count() - count;
    lines + &format!("{rest} settings are at their defaults\n")
}

/// Returns a settings file that lists every setting as a comment, and so sets nothing.
fn list(command: &Command) -> String {
    let mut text = "# Settings of `fourways serve`. Each is a flag and an environment variable too: flags win over the environment,\n\
                    # the environment over this file (--config FILE, or FOURWAYS_CONFIG). Commented-out values are the defaults.\n"
        .to_owned();
    for arg in settings(command) {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let defaults = defaults(arg);
        let name = arg.get_long().unwrap_or_default();
        let names = arg.get_value_names().filter(|_| !is_switch(arg));
        let shape = names.and_then(<[_]>::first).map(ToString::to_string);
        let value = match (arg.get_action(), defaults.first()) {
            (ArgAction::Append, _) => format!("[{}]", quoted(&shape.clone().unwrap_or_default())),
            (_, Some(default)) if default.parse::<f64>().is_ok() || is_switch(arg) => default.clone(),
            (_, Some(default)) => quoted(default),
            (_, None) => quoted(&shape.clone().unwrap_or_default()),
        };
        text += "\n";
        for line in wrapped(&help) {
            text += &["# ", &line, "\n"].concat();
        }
        let variable = arg.get_env().unwrap_or_default().to_string_lossy();
        text += &[
            "# --",
            name,
            shape.map(|shape| format!(" {shape}")).as_deref().unwrap_or(""),
            ", ",
            &variable,
            "\n",
        ]
        .concat();
        text += &["#", name, " = ", &value, "\n"].concat();
    }
    text
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn wrapped(text: &str) -> Vec<String> {
    const WIDTH: usize = 116;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].len() + word.len() >= WIDTH {
            lines.push(word.to_owned());
        } else {
            let gap = if lines[last].is_empty() { "" } else { " " };
            lines[last] += &[gap, word].concat();
        }
    }
    lines
}
