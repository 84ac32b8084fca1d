package launch

import (
	"strings"
	"testing"

	"lorac/cmd/lorac/cli"
)

// What each form of a launch line says of the cluster.
func TestLaunchLine(t *testing.T) {
	const command = "run_mindformer.py --config x.yaml"
	for name, c := range map[string]struct {
		args    []string
		want    Launch
		devices int
	}{
		"none":                    {words("x.yaml"), Launch{}, 0},
		"--devices":               {words("x.yaml --devices 4"), Launch{}, 4},
		"one":                     {[]string{"msrun_launcher.sh", command}, defaults("msrun_launcher.sh"), 8},
		"two":                     {[]string{command, "4"}, Launch{"msrun_launcher.sh", 4, 4, "127.0.0.1", 8118, 0, "output/msrun_log", false, 7200, false}, 4},
		"the line over --devices": {[]string{command, "4", "--devices", "2"}, Launch{"msrun_launcher.sh", 4, 4, "127.0.0.1", 8118, 0, "output/msrun_log", false, 7200, false}, 4},
		"six":                     {[]string{command, "8", "9000", "logs", "True", "60"}, Launch{"msrun_launcher.sh", 8, 8, "127.0.0.1", 9000, 0, "logs", true, 60, false}, 8},
		"nine":                    {[]string{command, "16", "8", "10.0.0.1", "9000", "1", "logs", "False", "60"}, Launch{"msrun_launcher.sh", 16, 8, "10.0.0.1", 9000, 1, "logs", false, 60, true}, 16},
		"msrun": {words("msrun --bind_core=True --worker_num=16 --local_worker_num 8 --master_addr=h --master_port=9000 --node_rank=1 --log_dir=l --join=True --cluster_time_out=30 " + command),
			Launch{"msrun", 16, 8, "h", 9000, 1, "l", true, 30, true}, 16},
		"distribute":             {words("run_distribute.sh t.json x.yaml [0,4] finetune"), Launch{By: "run_distribute.sh", Workers: 4, Local: 4}, 4},
		"distribute over hosts":  {words("run_distribute.sh t.json x.yaml [8,16] finetune 16"), Launch{By: "run_distribute.sh", Workers: 16, Local: 8}, 16},
		"standalone":             {words("run_standalone.sh x.yaml 0 finetune"), Launch{}, 0},
		"quoted, for one device": {[]string{command}, Launch{}, 0},
	} {
		call, err := Parse(c.args)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if call.Launch != c.want || call.Devices != c.devices {
			t.Errorf("%s: %+v, %d devices, want %+v", name, call.Launch, call.Devices, c.want)
		}
	}
	for want, args := range map[string][]string{
		"WORKER_NUM must be a number":              {command, "0"},
		"MASTER_PORT must be a number":             {command, "8", "port", "logs", "True", "60"},
		"NODE_RANK must be a number":               {command, "16", "8", "h", "9000", "first", "logs", "False", "60"},
		"LOCAL_WORKER is 16, more than":            {command, "8", "16", "h", "9000", "0", "logs", "False", "60"},
		"msrun --worker_num must be":               words("msrun --worker_num=all " + command),
		"needs a range of devices":                 words("run_distribute.sh t.json x.yaml finetune"),
		"takes 1, 2, 6 or 9 arguments, not 10":     {command, "16", "8", "h", "9000", "0", "logs", "False", "60", "1"},
		"CLUSTER_TIME_OUT must be a number from 0": {command, "8", "9000", "logs", "True", "-1"},
	} {
		if _, err := Parse(args); err == nil || !cli.IsUsage(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}
