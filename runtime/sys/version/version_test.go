package version

import (
	"regexp"
	"runtime/debug"
	"testing"
)

func TestCommit(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	for _, x := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, "unknown"},
		{[]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, "unknown"},
		{[]debug.BuildSetting{revision, {Key: "vcs.modified", Value: "false"}}, "0123456789ab"},
		{[]debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}, "0123456789ab+"},
	} {
		if got := of(x.settings); got != x.want {
			t.Errorf("%v: %s, want %s", x.settings, got, x.want)
		}
	}
	if got := Commit(); !regexp.MustCompile(`^(unknown|[0-9a-f]{12}\+?)$`).MatchString(got) { // what Go recorded of this test
		t.Error(got)
	}
	commit = "abc" // as the linker sets it
	defer func() { commit = "" }()
	if got := String(); got != Release+" (commit abc)" || !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(Release) {
		t.Error(got)
	}
}
