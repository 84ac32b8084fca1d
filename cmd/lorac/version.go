package main

import (
	"fmt"
	"runtime"

	"github.com/alecthomas/kong"

	"lorac/cmd/lorac/build"
	"lorac/runtime/sys/version"
)

type versionCmd struct{}

// Run tells what this lorac is and what it runs on.
func (versionCmd) Run() error {
	fmt.Print(versionText())
	return nil
}

// versionFlag is the same as a flag.
type versionFlag bool

// BeforeReset prints and ends.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	fmt.Fprint(app.Stdout, versionText())
	app.Exit(0)
	return nil
}

func versionText() string {
	return fmt.Sprintf("lorac %s\ncommit %s\n%s %s/%s\nkernels %s\n", version.Release, version.Commit(),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, build.VectorUnits())
}
