package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	broker "usher/pipeline/source/kafka/embedded"
	"usher/sinks/clickhouse/embedded"
)

// childData is the flag of both children.
const childData = "data"

// engineCommand is the embedded ClickHouse as a child process. It ends when its standard input
// closes, so it never outlives its parent, however that ends.
func (a *app) engineCommand() *cobra.Command {
	var dir, addr string
	c := &cobra.Command{
		Use:         "engine --data DIR",
		Short:       "Serve the embedded ClickHouse (started by other commands)",
		Example:     `  usher engine --data ./usher-data`,
		Hidden:      true,
		Args:        noArgs,
		Annotations: noConfig,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("engine needs --data DIR")
			}
			return embedded.Serve(cmd.Context(), embedded.ServeConfig{
				DataDir: dir, Addr: addr, Stdin: a.in, Log: a.log,
			})
		}),
	}
	c.Flags().StringVar(&dir, childData, "", "data `directory`")
	c.Flags().StringVar(&addr, "addr", "", "loopback address (default: a free port)")
	return c
}

// brokerCommand is the embedded broker as a child process, with the same life.
func (a *app) brokerCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:         "broker --data DIR",
		Short:       "Serve the embedded Kafka broker (started by other commands)",
		Example:     `  usher broker --data ./usher-data`,
		Hidden:      true,
		Args:        noArgs,
		Annotations: noConfig,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("broker needs --data DIR")
			}
			return broker.Serve(cmd.Context(), broker.ServeConfig{DataDir: dir, Stdin: a.in, Log: a.log})
		}),
	}
	c.Flags().StringVar(&dir, childData, "", "data `directory`")
	return c
}

// openEngine uses the engine that runs on dir, or starts one for the time until closeEngine.
func (a *app) openEngine(ctx context.Context, dir string) (addr string, closeEngine func(), err error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", nil, usagef("there is no data directory %s; usher demo --data %s makes one", dir, dir)
	}
	e, err := startEngine(ctx, dir)
	if err != nil {
		return "", nil, fmt.Errorf("cannot open the store in %s: %w", dir, err)
	}
	return e.Addr(), func() {
		if err := e.Close(); err != nil {
			a.log.Warn("the embedded engine did not end cleanly", "error", err)
		}
	}, nil
}
