//go:build !unix

package signals

import "os"

var users []os.Signal

func userName(s os.Signal) string { return s.String() }
