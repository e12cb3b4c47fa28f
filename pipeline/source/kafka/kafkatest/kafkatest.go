// Package kafkatest gives tests a real Apache Kafka. The broker is started outside the test
// process, by kafka.sh beside this file or by hand; its address comes in USHER_TEST_KAFKA.
package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// AddressVariable names the environment variable that holds host:port of the broker.
	AddressVariable = "USHER_TEST_KAFKA"
	// RequireVariable makes a missing address a failure instead of a skipped test, so that a CI
	// run whose broker did not come up cannot pass by skipping.
	RequireVariable = "USHER_REQUIRE_KAFKA"

	cleanupTimeout = 10 * time.Second
)

// Address returns host:port of the broker under test. Without one it skips the test, or fails it
// when USHER_REQUIRE_KAFKA is set.
func Address(t testing.TB) string {
	t.Helper()
	address := os.Getenv(AddressVariable)
	if address == "" && os.Getenv(RequireVariable) != "" {
		t.Fatalf("%s is empty though %s is set: start the tests with kafka.sh run -- go test …",
			AddressVariable, RequireVariable)
	}
	if address == "" {
		t.Skipf("%s is not set: `make test-kafka` starts Apache Kafka and runs this test",
			AddressVariable)
	}
	return address
}

// Client returns a client of the broker under test, closed when the test ends.
func Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(Address(t))}, opts...)...)
	if err != nil {
		t.Fatalf("cannot make a Kafka client: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// Topic creates a topic with a name of its own that begins with prefix, and deletes it when the
// test ends. configs are broker settings such as cleanup.policy; nil is none.
func Topic(t testing.TB, prefix string, partitions int32, configs map[string]*string) string {
	t.Helper()
	admin := kadm.NewClient(Client(t))
	name := Name(prefix)
	ctx, cancel := context.WithTimeout(t.Context(), cleanupTimeout)
	defer cancel()
	if _, err := admin.CreateTopic(ctx, partitions, 1, configs, name); err != nil {
		t.Fatalf("cannot create topic %s: %v", name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if _, err := admin.DeleteTopic(ctx, name); err != nil {
			t.Logf("cannot delete topic %s: %v", name, err)
		}
	})
	return name
}

// Name returns prefix with 64 random bits behind it: for groups, transactional ids and topics
// that no other test, and no earlier run on the same broker, may share.
func Name(prefix string) string {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		panic(fmt.Sprintf("BUG: crypto/rand failed: %v", err))
	}
	return prefix + "-" + hex.EncodeToString(random[:])
}
