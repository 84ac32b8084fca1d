package model

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"lorac/runtime/exit"
)

// Protocol is the first argument of lorac-serve. Server as JSON, the trainer and its
// arguments follow.
const Protocol = "1"

// Server is how a model is served over HTTP: what lorac's flags say.
type Server struct {
	Host    string // address to listen on
	Port    int    // 0 takes any
	Queue   int    // requests that may wait
	Timeout time.Duration
	Key     string // that clients must send
}

// Listen listens there.
func (s Server) Listen() (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		help := "--port takes another one, 0 any"
		if !errors.Is(err, syscall.EADDRINUSE) {
			help = "--host is an address of this machine: 127.0.0.1 for it alone, 0.0.0.0 for others, too; ports below 1024 may need rights"
		}
		return nil, exit.Usagef("cannot listen: %w\n  = help: %s", err, help)
	}
	return l, nil
}
