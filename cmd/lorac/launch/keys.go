package launch

import (
	"slices"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/compiler/config"
	rt "lorac/runtime"
)

// ownFlags are the flags of the trainer that plan has itself.
var ownFlags = []string{"config", "load_checkpoint", "auto_trans_ckpt", "src_strategy_path_or_dir", "base_config", "train_dataset_dir", "mem_limit", "device", "device_id"}

// KeysAsSet lets the commands that compile take settings as finetune does,
// which reads its arguments itself: --a.b.c VALUE is --set=a.b.c=VALUE, flags
// that are compiled in are their keys, and plan takes those of the trainer.
func KeysAsSet(args []string) ([]string, error) {
	if len(args) == 0 || !slices.Contains([]string{"init", "check", "plan", "inspect", "compile", "bench", "data"}, args[0]) {
		return args, nil
	}
	var out []string
	for i := 0; i < len(args); i++ {
		flag, value, has := strings.Cut(args[i], "=")
		name, ok := strings.CutPrefix(flag, "--")
		keys := keysOf(name)
		if args[0] == "check" && keys == nil && !slices.Contains(ownFlags, name) { // flags of finetune that are keys
			switch key := rt.KeyOf(name); {
			case key != "":
				keys = []string{key}
			case config.Known(name):
				keys = []string{name}
			}
		}
		trains := args[0] == "plan" && rt.AtRunTime(name) && !slices.Contains(ownFlags, name)
		if !ok || keys == nil && !trains {
			out = append(out, args[i])
			continue
		}
		if !has && !rt.Switch(name) {
			if i++; i == len(args) {
				return nil, cli.Usage("--%s needs a value", name)
			}
			value = args[i]
		}
		for _, key := range keys {
			out = append(out, "--set="+key+"="+value)
		}
		if keys == nil {
			out = append(out, "--trainer="+flag)
			if !rt.Switch(name) {
				out = append(out, "--trainer="+value)
			}
		}
	}
	return out, nil
}

// keysOf are the keys of the config that a flag sets, nil for other flags.
func keysOf(name string) []string {
	if strings.Contains(name, ".") {
		return []string{name}
	}
	for _, f := range compiled {
		if f.name == name {
			return f.keys
		}
	}
	return nil
}
