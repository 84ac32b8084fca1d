// Package version is the release of lorac and the commit it was built from. It is
// a leaf: the compiler, emitted trainers and the runtime all name it. It must not
// know of anything else.
package version

import "runtime/debug"

// Release is the number of this release, changed by hand.
const Release = "0.1.0"

// commit is set by the linker in trainers, which are built without a repository:
// -X lorac/runtime/sys/version.commit=…
var commit string

// Commit is the commit that lorac was built from, with "+" after it if files were
// changed; of a trainer, that of the lorac that compiled it. It is "unknown" where
// Go did not record one (go run, -buildvcs=false, no repository).
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return of(info.Settings)
}

func of(settings []debug.BuildSetting) string {
	revision, changed := "unknown", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && s.Value != "":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	if revision == "unknown" {
		return revision
	}
	return revision + changed
}

// String is both on one line: "0.1.0 (commit 0123456789ab)".
func String() string { return Release + " (commit " + Commit() + ")" }
