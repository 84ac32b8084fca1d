// Package toolchain calls Go such that what it builds follows from the sources, its
// version and the platform alone: no setting of the user's environment, and none
// that `go env -w` left, has a part in it.
package toolchain

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Platform is what a program is built for, as Go names it.
type Platform struct{ OS, Arch string }

// Here is this machine.
func Here() Platform { return Platform{runtime.GOOS, runtime.GOARCH} }

func (p Platform) String() string { return p.OS + "/" + p.Arch }

// platforms are those that trainers are known to build for.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

// Platforms are those that lorac is released for, too.
func Platforms() (list []Platform) {
	for _, text := range platforms {
		system, arch, _ := strings.Cut(text, "/")
		list = append(list, Platform{system, arch})
	}
	return list
}

// ParsePlatform reads linux/arm64.
func ParsePlatform(text string) (Platform, error) {
	list := platforms
	if here := Here().String(); !slices.Contains(list, here) {
		list = append(list[:len(list):len(list)], here)
	}
	if !slices.Contains(list, text) {
		return Platform{}, fmt.Errorf("must be one of %s", strings.Join(list, ", "))
	}
	system, arch, _ := strings.Cut(text, "/")
	return Platform{system, arch}, nil
}

// Ignored names the variables of the environment that ask for another platform,
// as text; "" if there are none.
func (p Platform) Ignored() string {
	var list []string
	for _, v := range []struct{ name, is string }{{"GOOS", p.OS}, {"GOARCH", p.Arch}} {
		if value := os.Getenv(v.name); value != "" && value != v.is {
			list = append(list, v.name+"="+value)
		}
	}
	return strings.Join(list, " ")
}

// Exe is the name of a program's file.
func (p Platform) Exe(name string) string {
	if p.OS == "windows" {
		return name + ".exe"
	}
	return name
}

// ErrNone is the error where there is no Go.
var ErrNone = errors.New("the Go toolchain is not found: building a trainer needs `go` in PATH\n  = help: install Go, from https://go.dev/dl, or take the archive of lorac that carries it (-go)")

// kept are the variables of Go's that say where it works and how much it takes, and
// not what comes out.
var kept = []string{"GOCACHE", "GOTMPDIR", "GOMAXPROCS", "GOGC", "GOMEMLIMIT"}

// settings are all others that have a say in a build. An empty one has its default:
// with GOENV=off, that of the toolchain.
func (p Platform) settings() []string {
	return []string{"GOENV=off", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GO111MODULE=on", "CGO_ENABLED=0", "GOEXPERIMENT=", "GODEBUG=", "GOFIPS140=off",
		"GOOS=" + p.OS, "GOARCH=" + p.Arch, "GOAMD64=v1", "GOARM64=v8.0"}
}

// Environment is the environment of a build: no Go variable of the user's but those
// kept, those that give names to modules (GOPROXY, …) where modules are fetched.
func (p Platform) Environment(fetches bool) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		theirs := strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "CGO_")
		if !theirs || slices.Contains(kept, name) || fetches && slices.Contains(fetching, name) {
			env = append(env, v)
		}
	}
	return append(env, p.settings()...)
}

// fetching are the variables that say where modules come from, whose sums are known.
var fetching = []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GONOPROXY", "GOINSECURE", "GOVCS", "GOAUTH", "GOPATH", "GOMODCACHE"}

// Fetching adds to an environment what `go env -w` says of where modules come from and
// where Go's caches are.
func Fetching(env []string) []string { return append(env, written(fetching, "GOCACHE")...) }

// written are settings as the user's go has them.
func written(names []string, more ...string) (list []string) {
	for _, name := range append(names[:len(names):len(names)], more...) {
		if value := ask(os.Environ(), name); value != "" && os.Getenv(name) == "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// ask is the value of one setting.
func ask(env []string, name string) string {
	path, err := Path()
	if err != nil {
		return ""
	}
	cmd := exec.Command(path, "env", name)
	cmd.Env = env
	out, _ := cmd.Output()
	return string(bytes.TrimSpace(out))
}

// Digest names all that a build depends on besides the sources: the version of Go,
// the platform and the settings.
func (p Platform) Digest() string {
	return ask(p.Environment(false), "GOVERSION") + "\n" + strings.Join(p.settings(), "\n")
}

// Build is a command that builds in a directory, offline, with Go's temporary files
// where TMPDIR says.
func (p Platform) Build(dir string, args ...string) (*exec.Cmd, error) {
	temp, err := filepath.Abs(os.TempDir()) // a relative one would be sought in dir
	if err != nil {
		return nil, err
	}
	path, err := Path()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, append([]string{"build"}, args...)...)
	cmd.Dir = dir
	// Modules are in dir or named by replace: the cache of modules stays empty.
	cmd.Env = append(p.Environment(false), "GOPROXY=off", "GOSUMDB=off", "GOMODCACHE="+filepath.Join(dir, ".build", "mod"), "TMPDIR="+temp)
	cmd.Env = append(cmd.Env, written(nil, "GOCACHE")...)
	return cmd, CheckPlaces(cmd.Env)
}

// CheckPlaces refuses an environment of a build whose directories Go cannot use.
func CheckPlaces(env []string) error { return checkPlaces(ask(env, "GOCACHE")) }

// Beside is the directory with a Go of its own that an archive of lorac may carry, next
// to the program.
const Beside = "go"

// Path is the Go that builds: the one that came with lorac, which is known to fit, else
// that in PATH. It is ErrNone where there is neither.
func Path() (string, error) {
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil { // a link to it may be in PATH
			self = real
		}
		near := filepath.Join(filepath.Dir(self), Beside, "bin", Here().Exe("go"))
		if info, err := os.Stat(near); err == nil && info.Mode().IsRegular() {
			return near, nil
		}
	}
	path, err := exec.LookPath("go")
	if err != nil {
		return "", ErrNone
	}
	return path, nil
}

// Find reports whether there is a Go.
func Find() error {
	_, err := Path()
	return err
}

// Version is the Go that builds and where it is; an error where none is, or where what it
// works in cannot be used.
func Version() (version, path string, err error) {
	if path, err = Path(); err != nil {
		return "", "", err
	}
	env := Here().Environment(false)
	return ask(env, "GOVERSION"), path, CheckPlaces(env)
}
