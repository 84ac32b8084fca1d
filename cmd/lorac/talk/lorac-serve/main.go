// Command lorac-serve answers requests over HTTP for lorac serve, which compiles the
// model. It is a program of its own because net/http takes long to compile.
//
//	lorac-serve 1 SETTINGS TRAINER ARGS…
//
// The number is that of the protocol, the settings are model.Server as JSON. lorac serve
// becomes this process, so signals and the exit code are its own.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"lorac/cmd/lorac/talk/model"
	"lorac/cmd/lorac/talk/serve"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
)

func main() { os.Exit(code(run(os.Args[1:]))) }

func run(args []string) error {
	if len(args) > 0 && args[0] != model.Protocol {
		return fmt.Errorf("lorac-serve speaks protocol %s: it and lorac are of different releases", model.Protocol)
	}
	var s model.Server
	if len(args) < 3 || json.Unmarshal([]byte(args[1]), &s) != nil {
		return exit.Usagef("usage: lorac-serve %s SETTINGS TRAINER ARGS…\n  = help: lorac serve CONFIG starts it", model.Protocol)
	}
	return serve.Run(s, args[2], args[3:])
}

// code is the exit code of an error, which is printed unless the trainer has said it.
func code(err error) int {
	var ended model.Ended
	if errors.As(err, &ended) {
		return ended.Code
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %s\n", human.Printable(err.Error()))
	}
	return exit.Code(exit.With(exit.Input, err))
}
