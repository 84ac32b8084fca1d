package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lorac/cmd/lorac/ascend"
	"lorac/cmd/lorac/cli"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/passes"
	"lorac/ir/diag"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
)

// DeviceFlags are what a command line says of the device.
type DeviceFlags struct {
	Device string // auto, cpu or ascend; "" is auto
	ID     string // of the card; "" for DEVICE_ID or the config's
	Target string // --device_target, which stands for the key
	SoC    string // kind of card to compile for, where none runs
	Dump   bool   // one of a module for a card is resumed
}

// Read takes them from a trainer's flags.
func (f *DeviceFlags) Read(args []string) {
	for i := 0; i+1 < len(args); i++ {
		switch args[i] {
		case "--device":
			f.Device = args[i+1]
		case "--device_id":
			f.ID = args[i+1]
		case "--device_target":
			f.Target = args[i+1]
		}
	}
}

// Device is what a job is compiled for, and why.
type Device struct {
	Card  *passes.Ascend // nil: this processor
	Chip  string         // as ACL writes it, Ascend910B3
	ID    int
	Here  bool // the card answers
	Cards int  // of this machine
	why   string
	what  string
	free  int // bytes of its memory

	assumed bool // it is none that was found or named
}

// fit leaves a run the memory that other processes do not hold.
func (d *Device) fit(runs bool) {
	if runs && d.free > 0 {
		d.Card.HBM = min(d.Card.HBM, d.free)
	}
}

// String is the first line of check, plan and a run.
func (d *Device) String() string { return "device: " + d.what + ", " + d.why }

// ChooseDevice decides what a job of this machine runs on: what --device says, else
// an Ascend NPU where the config asks for one and it answers, else the CPU. A run
// on an NPU that --device demands fails where there is none.
func ChooseDevice(c *config.Config, f DeviceFlags, runs bool) (*Device, error) {
	key, err := deviceKey(c, f)
	if err != nil {
		return nil, err
	}
	id, err := cardID(c, f)
	if err != nil {
		return nil, err
	}
	if text := os.Getenv("LORAC_DEVICE_TIMEOUT"); text != "" { // what waits would say it late
		if limit, err := time.ParseDuration(text); err != nil || limit <= 0 {
			return nil, cli.Usage("LORAC_DEVICE_TIMEOUT=%s is no time: write 90s, 30m or 2h", text)
		}
	}
	why := "as --device says" + key.over("ascend")
	switch {
	case f.Dump && f.Device != "ascend":
		if why = "as the dump says"; f.Device == "cpu" {
			return nil, errors.New("the module is one for an Ascend NPU\n  = help: resume a dump from before pass device-types, or compile with --device ascend")
		}
	case f.Device == "" || f.Device == "auto":
		d := key.auto(id)
		d.fit(runs)
		return d, nil
	case f.Device == "cpu":
		return &Device{what: "cpu", why: "as --device says" + key.over("cpu")}, nil
	case f.Device != "ascend":
		return nil, cli.Usage("--device %s: must be auto, cpu or ascend", f.Device)
	}
	if f.SoC != "" && !runs {
		return named(f.SoC, why)
	}
	d, err := answer(id)
	switch {
	case err == nil:
		d.why = why
		d.fit(runs)
		return d, nil
	case runs:
		return nil, exit.Failedf("cannot run on an Ascend NPU: %w%s", err, helpOf(err))
	}
	d, _ = named("", why)
	d.assumed = true
	d.what += " assumed"
	d.why += "; none answers here: " + firstLine(err)
	return d, nil
}

// helpOf is a way out of an error that names none.
func helpOf(err error) string {
	if strings.Contains(err.Error(), "= help:") {
		return ""
	}
	return "\n  = help: run with --device cpu"
}

// targetKey is what the config, or --device_target, says of the device.
type targetKey struct {
	value string // ascend, cpu, gpu or "" where it says nothing
	name  string // of the key, with its place
}

func deviceKey(c *config.Config, f DeviceFlags) (k targetKey, err error) {
	const name = "context.device_target"
	if f.Target != "" {
		value, ok := map[string]string{"Ascend": "ascend", "CPU": "cpu", "GPU": "gpu"}[f.Target]
		if !ok {
			return k, cli.Usage("--device_target %s: must be Ascend, CPU or GPU", f.Target)
		}
		return targetKey{value, "--device_target"}, nil
	}
	if c == nil || !c.Device.Set() || c.Device.V == "" {
		return targetKey{name: name}, nil
	}
	at := c.Device.At
	if at.Line == 0 {
		return targetKey{c.Device.V, name + " (" + at.File + ")"}, nil
	}
	return targetKey{c.Device.V, fmt.Sprintf("%s (%s:%d)", name, filepath.Base(at.File), at.Line)}, nil
}

// over says that --device wins over a key that says something else.
func (k targetKey) over(device string) string {
	if k.value == "" || k.value == device {
		return ""
	}
	return ", over " + k.name + ": " + k.spelled()
}

// spelled is the value as MindFormers writes it.
func (k targetKey) spelled() string {
	return map[string]string{"ascend": "Ascend", "cpu": "CPU", "gpu": "GPU"}[k.value]
}

// auto is the choice where --device leaves it to the key.
func (k targetKey) auto(id int) *Device {
	switch k.value {
	case "":
		return &Device{what: "cpu", why: "since " + k.name + " is not set"}
	case "cpu":
		return &Device{what: "cpu", why: "as " + k.name + " says"}
	case "gpu":
		return &Device{what: "cpu", why: "since " + k.name + " is GPU, which lorac has no kernels for"}
	}
	d, err := answer(id)
	if err != nil {
		return &Device{what: "cpu", why: "though " + k.name + " is Ascend: " + firstLine(err)}
	}
	d.why = "as " + k.name + " says"
	return d
}

func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// cardID is the card that flag, environment or config names, in this order.
func cardID(c *config.Config, f DeviceFlags) (int, error) {
	for _, s := range []struct{ name, value string }{{"--device_id ", f.ID}, {"DEVICE_ID=", os.Getenv("DEVICE_ID")}} {
		if s.value == "" {
			continue
		}
		n, err := strconv.Atoi(s.value)
		if err != nil || n < 0 {
			return 0, cli.Usage("%s%s: must be a whole number from 0 up", s.name, s.value)
		}
		return n, nil
	}
	if c == nil {
		return 0, nil
	}
	return c.DeviceID.V, nil
}

// answer is a card of this machine that runs the kernels.
func answer(id int) (*Device, error) {
	if _, why := ascend.Library(); why != "" {
		return nil, fmt.Errorf("%s\n  = help: source set_env.sh of the CANN toolkit, or run with --device cpu", why)
	}
	a, err := ascend.Probe(id)
	if err != nil {
		return nil, err
	}
	soc, known := cost.SoCOf(a.SoC)
	if !known && !strings.HasPrefix(a.SoC, "Ascend910B") && !strings.HasPrefix(a.SoC, "Ascend910_93") {
		//lint:ignore ST1005 Ascend is a name
		return nil, fmt.Errorf("Ascend device %d is an %s; the kernels are for Atlas A2 and A3 (Ascend910B and Ascend910_93)", id, a.SoC)
	}
	card := &passes.Ascend{SoC: soc.Name, Cubes: a.Cubes, Vectors: a.Vectors, HBM: a.HBM}
	if !known {
		card.SoC = strings.ToLower(strings.TrimPrefix(a.SoC, "Ascend"))
	}
	if card.Cubes == 0 {
		card.Cubes, card.Vectors = soc.Cubes, soc.Vectors
	}
	if card.HBM == 0 {
		card.HBM = soc.HBM
	}
	what := []string{a.SoC, fmt.Sprintf("%d cube and %d vector cores", card.Cubes, card.Vectors)}
	if a.HBM > 0 {
		what = append(what, fmt.Sprintf("%s of %s free", human.Bytes(a.Free), human.Bytes(a.HBM)))
	}
	if a.CANN != "" {
		what = append(what, "CANN "+a.CANN)
	}
	return &Device{Card: card, Chip: a.SoC, ID: id, Here: true, Cards: a.Devices, free: a.Free, what: fmt.Sprintf("Ascend %d (%s)", id, strings.Join(what, ", "))}, nil
}

// named is a card of a kind that need not be on this machine.
func named(soc, why string) (*Device, error) {
	card, err := CardOf(soc)
	if err != nil {
		return nil, err
	}
	chip := "Ascend" + strings.ReplaceAll(strings.ToUpper(card.SoC), "B4_1", "B4-1")
	return &Device{Card: card, Chip: chip, what: fmt.Sprintf("%s (%d cube and %d vector cores)", chip, card.Cubes, card.Vectors), why: why}, nil
}

// CheckDevice shows what keeps a config from the device it was chosen for.
func CheckDevice(c *config.Config, d *Device) error {
	if d.Card == nil {
		return nil
	}
	list, err := compiler.OnAscend(c)
	if err != nil {
		return err
	}
	return Show(list, list.HasErrors())
}

// CheckProgram has the program of a config written for a device and throws it away:
// what keeps the compiler from it is said without a run.
func CheckProgram(c *config.Config, d *Device) error {
	t := compiler.Target{Blocks: BlockType}
	if d.Card != nil {
		card := *d.Card
		card.HBM = 0 // whether it fits is plan's
		t.Ascend = &card
	}
	r, err := compiler.Compile(c, &t)
	var refused diag.List
	if errors.As(err, &refused) {
		return Show(refused, true)
	}
	if err == nil {
		_, err = codegen.Emit(r.Module)
	}
	return err
}
