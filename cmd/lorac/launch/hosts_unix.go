//go:build unix

package launch

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/mpi"
	rt "lorac/runtime"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
	"lorac/runtime/sys/version"
)

// Several hosts, without ssh, as msrun has it: the user starts lorac on each, with the
// number of the host. They meet at MASTER_ADDR:MASTER_PORT, where the host of number 0
// listens; that one starts MPICH's mpiexec in manual mode at the next port and tells the
// others the arguments of their hydra_pmi_proxy, which starts the processes there. The
// connection stays open: signals go to the first host over it, the outcome comes back.

// hello is what a host says of itself.
type hello struct {
	Lorac, MPI   string
	Node         int
	Local, Procs int // devices and processes of the host
}

// message is what follows.
type message struct {
	Refused string   `json:",omitempty"` // to a host that does not fit
	Proxy   []string `json:",omitempty"` // arguments of hydra_pmi_proxy
	Signal  int      `json:",omitempty"` // to the first host: it was asked to end
	Outcome string   `json:",omitempty"` // of the run
}

// node is a host that has arrived.
type node struct {
	hello
	addr string
	conn net.Conn
	in   *json.Decoder
}

// onHosts prepares a run on several hosts.
func (p *Processes) onHosts(c *Call) error {
	if c.Launch.NodeRank < 0 || c.Launch.MasterPort < 1 || c.Launch.MasterPort >= 1<<16-1 {
		return cli.Usage("several hosts (%s) need NODE_RANK from 0 up and MASTER_PORT from 1 to 65534: the next port is used, too", c.Launch.By)
	}
	var found bool
	for _, l := range mpi.Local() {
		if l.Family == mpi.MPICH && !found {
			p.launcher, found = l, true
		}
	}
	if !found {
		return exit.Inputf("several hosts (%s) need MPICH on each of them, and there is none here\n  = help: Debian and Ubuntu: apt install mpich; or have another launcher start lorac on the hosts: mpirun -n N lorac finetune …", c.Launch.By)
	}
	hosts := c.Launch.HostCount()
	p.hosts, p.perHost = hosts, max(c.Workers, 1)
	p.Over, p.N, p.Local = "mpi", hosts*p.perHost, p.perHost
	p.text = fmt.Sprintf("%d, %s on each of %d hosts, started by %v; this is host %d", p.N, human.Count(p.perHost, "process"), hosts, p.launcher, c.Launch.NodeRank)
	if last := c.Launch.lastHost(); c.Launch.NodeRank > last {
		return cli.Usage("NODE_RANK %d (%s), but %d workers, %d on this host, are of %d hosts at most: they are numbered from 0 to %d", c.Launch.NodeRank, c.Launch.By, c.Launch.Workers, c.Launch.Local, last+1, last)
	}
	return nil
}

// runHosts is this host's part of the run.
func (p *Processes) runHosts(bin string, args []string) error {
	if !slices.Contains(args, "--threads") {
		args = append(args, "--threads", strconv.Itoa(max(rt.DefaultThreads()/p.perHost, 1)))
	}
	again := false
	return p.repeat(args, func(args []string) error {
		wait := time.Duration(p.line.Timeout) * time.Second
		if again {
			wait = min(wait, rejoin)
		}
		defer func() { again = true }()
		j, err := newJob(p.launcher.Path, bin, 0)
		if err != nil {
			return err
		}
		defer j.close()
		script := filepath.Join(j.dir, "start")
		if err := os.WriteFile(script, []byte("exec "+quoteWords(append([]string{bin}, args...))+"\n"), 0o600); err != nil {
			return err
		}
		env := []string{startEnv + "=" + script}
		if p.line.NodeRank == 0 {
			return p.lead(j, env, wait, again)
		}
		return p.follow(j, env, wait)
	})
}

const (
	startEnv = "LORAC_START"    // names a host's script that is the trainer with its arguments
	rejoin   = 30 * time.Second // for hosts to come back after a fault; then the run does without them
)

func quoteWords(words []string) string {
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

func (p *Processes) hello() hello {
	return hello{version.String(), p.launcher.Version, p.line.NodeRank, p.line.Local, p.perHost}
}

func (p *Processes) address(port int) string {
	return net.JoinHostPort(p.line.MasterAddr, strconv.Itoa(port))
}

// lead waits for the hosts and runs the launcher.
func (p *Processes) lead(j *job, env []string, wait time.Duration, again bool) error {
	nodes, err := p.gather(wait, again)
	defer func() {
		for _, n := range nodes {
			n.conn.Close()
		}
	}()
	if err != nil {
		return err
	}
	if n := len(nodes) + 1; n != p.hosts && !again {
		fmt.Fprintf(os.Stderr, "note: the %d workers are those of %d hosts, which have %s\n", p.line.Workers, n, p.workersOf(nodes))
	}
	hosts, procs := []string{p.line.MasterAddr + ":" + strconv.Itoa(p.perHost)}, p.perHost
	for _, n := range nodes {
		hosts = append(hosts, n.addr+":"+strconv.Itoa(n.Procs))
		procs += n.Procs
	}
	asked, gone := make(chan os.Signal, 8), make(chan string, len(nodes))
	for _, n := range nodes {
		go func() {
			var m message
			for n.in.Decode(&m) == nil {
				if m.Signal > 0 {
					asked <- syscall.Signal(m.Signal)
				}
			}
			gone <- fmt.Sprintf("host %d (%s) is lost", n.Node, n.addr)
		}()
	}
	var own []*started
	j.asked, j.gone = asked, gone
	j.noise.said = func(line string) {
		rest, ok := strings.CutPrefix(line, "HYDRA_LAUNCH: ")
		if !ok {
			return
		}
		args := strings.Fields(controlPort.ReplaceAllString(rest, "--control-port "+p.line.MasterAddr+":$1"))[1:]
		id := slices.Index(args, "--proxy-id")
		if id < 0 || id+1 >= len(args) {
			return
		}
		switch n, _ := strconv.Atoi(args[id+1]); {
		case n == 0:
			if proxy, err := start(p.proxy(j, args, env)); err == nil {
				own = append(own, proxy)
			}
		case n <= len(nodes):
			json.NewEncoder(nodes[n-1].conn).Encode(message{Proxy: args}) //nolint:errcheck // the launcher misses the host
		}
	}
	port := strconv.Itoa(p.line.MasterPort + 1)
	line := []string{p.launcher.Path, "-launcher", "manual", "-genvnone", "-hosts", strings.Join(hosts, ","), "-n", strconv.Itoa(procs), "/bin/sh", "-c", `exec sh "$` + startEnv + `"`}
	err = j.run(line, append(env, "MPIEXEC_PORT_RANGE="+port+":"+port))
	for _, proxy := range own {
		proxy.end()
	}
	for _, n := range nodes {
		n.conn.SetWriteDeadline(time.Now().Add(lastOutput))
		json.NewEncoder(n.conn).Encode(message{Outcome: outcomeOf(err)}) //nolint:errcheck // the host is lost
	}
	return err
}

// workersOf lists how many workers each host has.
func (p *Processes) workersOf(nodes []*node) string {
	list := []string{strconv.Itoa(p.line.Local)}
	for _, n := range nodes {
		list = append(list, strconv.Itoa(n.Local))
	}
	return strings.Join(list, ", ")
}

// controlPort is where a proxy finds mpiexec, which names it by the host's own name.
var controlPort = regexp.MustCompile(`--control-port \S+:(\d+)`)

// proxy is the command of hydra_pmi_proxy.
func (p *Processes) proxy(j *job, args, env []string) *exec.Cmd {
	path := filepath.Join(filepath.Dir(p.launcher.Path), "hydra_pmi_proxy")
	if _, err := os.Stat(path); err != nil {
		path = "hydra_pmi_proxy"
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(withCommand(os.Environ()), append(env, rt.LaunchEnv+"="+j.dir)...)
	cmd.Stdout, cmd.Stderr = &j.noise, &j.noise
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = lastOutput
	return cmd
}

// started is a proxy that runs.
type started struct {
	*exec.Cmd
	ended <-chan struct{}
}

func start(cmd *exec.Cmd) (*started, error) {
	ended, err := startBound(cmd)
	if err != nil {
		return nil, err
	}
	return &started{cmd, ended}, nil
}

// end ends it, unless it ends by itself: while it waits, it takes no SIGTERM.
func (s *started) end() {
	select {
	case <-s.ended:
	case <-time.After(lastProcess):
		syscall.Kill(-s.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
		<-s.ended
	}
}

// gather is the other hosts, by their numbers. again: a run that was disturbed does
// without those that do not come back.
func (p *Processes) gather(wait time.Duration, again bool) (nodes []*node, err error) {
	l, err := net.Listen("tcp", p.address(p.line.MasterPort))
	if err != nil {
		return nil, exit.Inputf("this host cannot listen at %s: %w\n  = help: MASTER_ADDR must be an address of the host of NODE_RANK 0, and MASTER_PORT a free port", p.address(p.line.MasterPort), err)
	}
	defer l.Close()
	came := make(chan os.Signal, 1)
	if list := signals.Stops(); len(list) > 0 {
		signal.Notify(came, list...)
		defer signal.Stop(came)
	}
	stopped := make(chan os.Signal, 1)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case s := <-came:
			stopped <- s
			l.Close()
		case <-done:
		}
	}()
	us, devices := p.hello(), p.line.Local
	l.(*net.TCPListener).SetDeadline(time.Now().Add(wait)) //nolint:errcheck // a listener has one
	for devices < p.line.Workers {
		conn, err := l.Accept()
		if err != nil {
			select {
			case s := <-stopped:
				return nodes, &signals.Ended{Signal: s}
			default:
			}
			if again && errors.Is(err, os.ErrDeadlineExceeded) {
				fmt.Fprintf(os.Stderr, "note: %d of %d hosts are left: the run continues on them\n", len(nodes)+1, p.hosts)
				break
			}
			return nodes, exit.Failedf("%d of %d hosts have arrived at %s within %v: %s missing\n  = help: start lorac on each host with its NODE_RANK; CLUSTER_TIME_OUT is how long to wait", len(nodes)+1, p.hosts, p.address(p.line.MasterPort), wait, missing(nodes, p.hosts))
		}
		n := &node{conn: conn, in: json.NewDecoder(bufio.NewReader(conn))}
		conn.SetReadDeadline(time.Now().Add(lastWord)) //nolint:errcheck // it then fails below
		if n.in.Decode(&n.hello) != nil {              // none of ours
			conn.Close()
			continue
		}
		conn.SetReadDeadline(time.Time{}) //nolint:errcheck // it had one
		n.addr, _, _ = net.SplitHostPort(conn.RemoteAddr().String())
		if why := us.differs(n, nodes); why != "" {
			json.NewEncoder(conn).Encode(message{Refused: why}) //nolint:errcheck // it may be gone
			conn.Close()
			return nodes, exit.Inputf("host %d (%s) does not fit: %s", n.Node, n.addr, why)
		}
		if n.addr == p.line.MasterAddr || slices.ContainsFunc(nodes, func(o *node) bool { return o.addr == n.addr }) {
			fmt.Fprintf(os.Stderr, "note: host %d has the address of another (%s): MPICH takes them for one, which starts the processes of both with its own arguments\n", n.Node, n.addr)
		}
		nodes = append(nodes, n)
		devices += n.Local
	}
	slices.SortFunc(nodes, func(a, b *node) int { return a.Node - b.Node })
	return nodes, nil
}

// differs says why a host cannot take part.
func (h hello) differs(n *node, others []*node) string {
	switch {
	case n.Lorac != h.Lorac:
		return fmt.Sprintf("it has lorac %s, the first host %s", n.Lorac, h.Lorac)
	case n.MPI != h.MPI:
		return fmt.Sprintf("it has MPICH %s, the first host %s", n.MPI, h.MPI)
	case n.Node == h.Node || slices.ContainsFunc(others, func(o *node) bool { return o.Node == n.Node }):
		return fmt.Sprintf("another host has NODE_RANK %d, too", n.Node)
	}
	return ""
}

// missing lists the numbers of hosts that have not arrived.
func missing(nodes []*node, hosts int) string {
	var list []string
	for i := 1; i < hosts; i++ {
		if !slices.ContainsFunc(nodes, func(n *node) bool { return n.Node == i }) {
			list = append(list, strconv.Itoa(i))
		}
	}
	if len(list) == 0 {
		return "some are"
	}
	if len(list) > 8 {
		list = append(list[:8], "more")
	}
	verb := " is"
	if len(list) > 1 {
		verb = " are"
	}
	return "NODE_RANK " + strings.Join(list, ", ") + verb
}

// follow is the part of a host that is not the first.
func (p *Processes) follow(j *job, env []string, wait time.Duration) error {
	came := make(chan os.Signal, 8)
	if list := signals.Stops(); len(list) > 0 {
		signal.Notify(came, list...)
		defer signal.Stop(came)
	}
	var conn net.Conn
	for end := time.Now().Add(wait); conn == nil; {
		var err error
		if conn, err = net.DialTimeout("tcp", p.address(p.line.MasterPort), lastProcess); err == nil {
			break
		}
		if time.Now().After(end) {
			return exit.Failedf("the first host does not answer at %s within %v: %w\n  = help: start lorac there with NODE_RANK 0; CLUSTER_TIME_OUT is how long to wait", p.address(p.line.MasterPort), wait, err)
		}
		select {
		case s := <-came:
			return &signals.Ended{Signal: s}
		case <-time.After(200 * time.Millisecond):
		}
	}
	defer conn.Close()
	out, in := json.NewEncoder(conn), make(chan message)
	if err := out.Encode(p.hello()); err != nil {
		return p.alone()
	}
	go func() {
		defer close(in)
		d := json.NewDecoder(bufio.NewReader(conn))
		for {
			var m message
			if d.Decode(&m) != nil {
				return
			}
			in <- m
		}
	}()
	var proxy *started
	var ended <-chan struct{} // of the proxy
	defer func() {
		if proxy != nil {
			proxy.end()
		}
		j.endRanks()
	}()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var late time.Time // when the word of the first host is given up
	for {
		select {
		case <-ended:
			ended, late = nil, time.Now().Add(lastWord)
		case <-look.C: // a process here may have found that the first host is cut off
			text := j.read(rt.LaunchOutcome)
			if text != "" && late.IsZero() {
				late = time.Now().Add(lastWord)
			}
			if !late.IsZero() && time.Now().After(late) {
				fmt.Fprintf(os.Stderr, "error: the first host (%s) does not say how the run ended%s\n", p.line.MasterAddr, help)
				if err := parseOutcome(text); err != nil {
					return err
				}
				return cli.Exit{Code: exit.Failed}
			}
		case s := <-came:
			if proxy == nil {
				return &signals.Ended{Signal: s}
			}
			if out.Encode(message{Signal: int(s.(syscall.Signal))}) != nil {
				return &signals.Ended{Signal: s}
			}
		case m, ok := <-in:
			switch {
			case !ok:
				return p.alone()
			case m.Refused != "":
				return exit.Inputf("the first host refuses this one: %s", m.Refused)
			case m.Outcome != "":
				return parseOutcome(m.Outcome)
			case proxy == nil:
				var err error
				if proxy, err = start(p.proxy(j, m.Proxy, env)); err != nil {
					return exit.Failedf("hydra_pmi_proxy does not start: %w", err)
				}
				ended = proxy.ended
				fmt.Fprintf(os.Stderr, "the run has begun; host 0 (%s) reports it\n", p.line.MasterAddr)
			}
		}
	}
}

// alone is the error of a host that has lost the first one.
func (p *Processes) alone() error {
	fmt.Fprintf(os.Stderr, "error: the first host (%s) is lost%s\n", p.line.MasterAddr, help)
	return cli.Exit{Code: exit.Failed}
}

// outcomeOf writes how a run ended.
func outcomeOf(err error) string {
	var ended *signals.Ended
	var e cli.Exit
	switch {
	case errors.As(err, &ended):
		return fmt.Sprintf("signal %d", ended.Signal)
	case errors.As(err, &e):
		return fmt.Sprintf("exit %d", e.Code)
	case err != nil:
		return fmt.Sprintf("exit %d", exit.Code(err))
	}
	return "exit 0"
}
