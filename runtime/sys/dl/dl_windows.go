package dl

import "errors"

// There are no libraries of a device for Windows.
var errNone = errors.New("no library of a device exists for Windows")

func open(string) (uintptr, error) { return 0, errNone }

func symbol(uintptr, string) (uintptr, error) { return 0, errNone }
