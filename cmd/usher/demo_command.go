package main

import (
	"github.com/spf13/cobra"

	"log/slog"
	"usher/cmd/usher/internal/config"
)

// demoOptions say what `usher demo` plays and where.
type demoOptions struct {
	Config  *config.Config
	Log     *slog.Logger
	Streams streams

	DataDir       string // keeps broker, store and place in the input; empty: a temporary directory
	Conversations int
	Seed          uint64
	Input         string // JSONL of section 2 instead of generated events
	Exit          bool   // stop when all is processed
	JSON          bool   // print one object; only with Exit
}

// demoConversations is how many conversations are generated unless told otherwise.
const demoConversations = 2000

func (a *app) demoCommand() *cobra.Command {
	o := demoOptions{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Everything embedded: broker, ClickHouse, pipeline and a producer",
		Long: `Play chats through an embedded broker, the router, the sink and an embedded ClickHouse, and show
what comes out. Nothing has to be installed but the engine's library (make libchdb). Without --input
the chats are generated from --seed. What lies in --data is kept: a run on the same directory goes on
where the last one stopped, and "usher sql --data DIR" asks it questions, also while it runs.`,
		Example: `  usher demo
  usher demo --data ./usher-data --conversations 500 --seed 7
  usher demo --data ./usher-data --input events.jsonl --exit --json`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if o.Conversations < 1 {
				return usagef("--conversations must be at least 1, got %d", o.Conversations)
			}
			if o.JSON && !o.Exit {
				return usagef("--json needs --exit: it prints one object when all is processed")
			}
			if cmd.Flags().Changed("input") &&
				(cmd.Flags().Changed("conversations") || cmd.Flags().Changed("seed")) {
				return usagef("--input plays a file; --conversations and --seed are for generated chats")
			}
			o.Config, o.Log, o.Streams = a.cfg, a.log, a.streams
			return runDemo(cmd.Context(), o)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.DataDir, "data", "usher-data", "`directory` that keeps everything")
	f.IntVar(&o.Conversations, "conversations", demoConversations, "how many conversations to generate")
	f.Uint64Var(&o.Seed, "seed", 1, "what the generated chats are drawn from")
	f.StringVar(&o.Input, "input", "", "play the events of a `file` instead (JSON lines, .gz, .zst)")
	f.BoolVar(&o.Exit, "exit", false, "stop when all is processed")
	f.BoolVar(&o.JSON, "json", false, "with --exit: print the result as one JSON object")
	return c
}
