//go:build !(linux || darwin || freebsd || netbsd)

package dl

import "errors"

var errSystem = errors.New("libraries are opened at run time on Linux only")

func open(string) (uintptr, error) { return 0, errSystem }

func symbol(uintptr, string) (uintptr, error) { return 0, errSystem }
