//! A Cargo.toml, as far as the rules look.

use toml::de::{DeTable, DeValue};

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
const TARGET_LISTS: [&str; 4] = ["bin", "test", "bench", "example"];

/// One Cargo.toml.
pub(crate) struct Manifest<'t> {
    pub(crate) path: &'t str,
    table: DeTable<'t>,
}

/// An entry of one of the dependency tables.
pub(crate) struct Dependency {
    /// The package, whatever it is called here.
    pub(crate) package: String,
    /// Whether only tests and benches see it.
    pub(crate) is_for_tests: bool,
}

impl<'t> Manifest<'t> {
    pub(crate) fn read(path: &'t str, text: &'t str) -> Manifest<'t> {
        let table = DeTable::parse(text).unwrap_or_else(|error| panic!("{path} can't be read: {error}"));
        Manifest { path, table: table.into_inner() }
    }

    /// The directory, empty for the top, else ending with `/`.
    pub(crate) fn directory(&self) -> &'t str {
        self.path.strip_suffix("Cargo.toml").expect("a manifest has this name")
    }

    /// `None` for a workspace without a package.
    pub(crate) fn package(&self) -> Option<&str> {
        get(table_at(&self.table, "package")?, "name")?.as_str()
    }

    /// Everything it depends on, for every target.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let targets = table_at(&self.table, "target").into_iter().flatten();
        let places = targets.filter_map(|(_, place)| place.get_ref().as_table()).chain([&self.table]);
        places.flat_map(dependencies_in).collect()
    }

    /// The sources it names itself, from the top.
    pub(crate) fn target_paths(&self) -> Vec<String> {
        let lists = TARGET_LISTS.iter().filter_map(|name| get(&self.table, name)?.as_array()).flatten();
        let targets = lists.filter_map(|target| target.get_ref().as_table()).chain(table_at(&self.table, "lib"));
        let paths = targets.filter_map(|target| get(target, "path")?.as_str());
        paths.map(|path| format!("{}{path}", self.directory())).collect()
    }
}

fn dependencies_in(place: &DeTable<'_>) -> Vec<Dependency> {
    let mut found = Vec::new();
    for name in DEPENDENCY_TABLES {
        for (key, value) in table_at(place, name).into_iter().flatten() {
            let renamed = value.get_ref().as_table().and_then(|table| get(table, "package")?.as_str());
            let package = renamed.unwrap_or(key.get_ref()).to_owned();
            found.push(Dependency { package, is_for_tests: name == "dev-dependencies" });
        }
    }
    found
}

fn get<'m, 't>(table: &'m DeTable<'t>, name: &str) -> Option<&'m DeValue<'t>> {
    Some(table.get(name)?.get_ref())
}

fn table_at<'m, 't>(table: &'m DeTable<'t>, name: &str) -> Option<&'m DeTable<'t>> {
    get(table, name)?.as_table()
}
