package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"usher/cmd/usher/internal/config"
)

// runOptions say which stages of `usher run` this process runs.
type runOptions struct {
	Config  *config.Config // its secrets are loaded, the privacy key is there
	Log     *slog.Logger
	Streams streams
	Only    string // "", route or sink
	// Reload reads the configuration again.
	Reload func() (*config.Config, error)
}

func (a *app) runCommand() *cobra.Command {
	o := runOptions{}
	c := &cobra.Command{
		Use:   "run",
		Short: "Process events: Kafka in, decisions and ClickHouse rows out",
		Long: `Run the processor against real Kafka and ClickHouse until a signal stops it. Both stages run in
this process unless --only says which; as many processes as you like share the work. Topics must be
there (usher topics --apply) and the schema too (usher schema --apply), unless topics.create is on.

A model acts alone only where usher accept has shown that it may. A new model file is taken over
while it runs; SIGHUP reads the model, thresholds, auto switches and rules of the configuration
again. What is not readable is refused, and what was there stays in force.`,
		Example: `  USHER_PRIVACY_KEY=… usher run
  usher run --only route --config /etc/usher/usher.yaml
  usher run --only sink`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if o.Only != "" && o.Only != "route" && o.Only != "sink" {
				return usagef("--only must be route or sink, got %q", o.Only)
			}
			if err := a.cfg.LoadSecrets(); err != nil {
				return err
			}
			if o.Only != "sink" && !a.cfg.Privacy.Key.IsSet() {
				return usagef("run refuses to start without the key that makes pseudonyms: write a long " +
					"random text into a file named by privacy.key_file, or set USHER_PRIVACY_KEY")
			}
			if err := a.checkSources(); err != nil && o.Only != "sink" {
				return err
			}
			o.Config, o.Log, o.Streams, o.Reload = a.cfg, a.log, a.streams, a.readConfig
			return runRun(cmd.Context(), o)
		}),
	}
	c.Flags().StringVar(&o.Only, "only", "", "run one `stage` only: route or sink")
	return c
}

// checkSources refuses what this version cannot route: taking it for something else would turn
// every event into a dead letter.
func (a *app) checkSources() error {
	if a.cfg.Sources[0].Format == "map" {
		return usagef("sources[0].format: map is not routed by this version; bring such files in with " +
			"usher import --map, or publish usher's events")
	}
	for _, s := range a.cfg.Sources[1:] {
		a.log.Warn("this version routes the first source only", "left_out", s.Topic)
	}
	return nil
}
