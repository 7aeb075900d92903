package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"gateway"
)

const (
	// connections and streams bound what is served at once on a listener: of the connections, so many may be streams.
	connections = 64
	streams     = 16
	// headerTimeout is for a request's header, answerTimeout for a short answer to be read, idleTimeout for the next request.
	headerTimeout = 5 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = 30 * time.Second
	// streamTimeout is for how long a stream may stand still because nobody reads it, or sends.
	streamTimeout = 10 * time.Minute
	// maxHeader bounds a request's header, with its query.
	maxHeader = 16 << 10
	// stopTimeout is what requests have to end when the server stops.
	stopTimeout = time.Second
)

// Log is the log of the running gateway. Its methods are called from many requests at once.
type Log interface {
	EventLog
	// Append returns when the events survive a power cut.
	Append(ctx context.Context, events ...gateway.Event) (gateway.Offset, error)
	// Verify reads all of the log and says what is wrong with it. progress is called now and then, from one goroutine.
	Verify(ctx context.Context, progress func(done, total uint64)) (gateway.LogReport, error)
	// Compact gives back the space of what was deleted.
	Compact(ctx context.Context) error
	// Report is what was found when the log was opened.
	Report() gateway.LogReport
}

// Options say what a Server tells about. All but Delivery and Logger are needed.
type Options struct {
	// Version is that of the program, ID the gateway's.
	Version, ID string
	Log         Log
	// Broker and Forwarders are snapshots, asked for at any time.
	Broker     func() gateway.BrokerStatus
	Forwarders func() []gateway.ForwarderStatus
	// Sources may be nil: there are none.
	Sources func() []gateway.SourceStatus
	// Devices are the board's; nil: there are none.
	Devices Devices
	// Delivery is what can be done about delivery; nil: nothing.
	Delivery Delivery
	// Logger takes what a person must know; nil discards it.
	Logger *slog.Logger
}

// Server answers at the socket in the data directory and, where that was asked for, at a TCP address.
type Server struct {
	o       Options
	started time.Time
	metrics http.Handler
	slots   chan struct{} // one element a stream
	heavy   sync.Mutex    // held while the log is verified or compacted

	requests sync.RWMutex // read-held by every request
	stopped  bool         // guarded by requests: no request touches the log any more

	mu       sync.Mutex
	services []service // what listens
	closed   bool
}

// service is a listener and what it serves.
type service struct {
	listener net.Listener
	handler  http.Handler
}

// New makes a server that listens nowhere yet.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, started: time.Now(), slots: make(chan struct{}, streams)}
	s.metrics = newMetrics(s.Status)
	return s
}

// ListenSocket makes the socket of the local API in the data directory, for the gateway's user and root alone. The caller
// has the lock of the directory: a socket that is there is a leftover, and replaced.
func (s *Server) ListenSocket(dataDir string) error {
	l, err := listenSocket(filepath.Join(dataDir, SocketName))
	if err != nil {
		return fmt.Errorf("local API: %w", err)
	}
	return s.add(l, s.routes())
}

// ListenTCP makes GET /metrics and GET /healthz answer at address, as host:port, and returns the address with the port.
func (s *Server) ListenTCP(address string) (net.Addr, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w: set another admin.listen", err)
	}
	return l.Addr(), s.add(l, s.publicRoutes())
}

func (s *Server) add(l net.Listener, handler http.Handler) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(gateway.ErrClosed, l.Close())
	}
	s.services = append(s.services, service{limit(l, connections), handler})
	return nil
}

// Run serves until ctx ends, and then stops every request and closes: when it returns, none touches the log any more. It
// returns earlier only with an error, or after Close. Call it once, after the Listen methods.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	services := s.services
	s.mu.Unlock()
	failed := make(chan error, len(services))
	var serving sync.WaitGroup
	var servers []*http.Server
	for _, v := range services {
		h := s.httpServer(ctx, v.handler)
		servers = append(servers, h)
		serving.Go(func() { failed <- h.Serve(v.listener) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	cancel() // ends the streams
	stopping, stop := context.WithTimeout(context.Background(), stopTimeout)
	defer stop()
	for _, h := range servers {
		if h.Shutdown(stopping) != nil {
			_ = h.Close() // what did not end in time is cut off; the listener is closed already
		}
	}
	serving.Wait()
	s.requests.Lock() // waits for them
	s.stopped = true
	s.requests.Unlock()
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil // by Close
	}
	return err
}

func (s *Server) httpServer(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler: s.counted(handler), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn),
	}
}

// counted lets Run wait for the requests, which may outlast their connections.
func (s *Server) counted(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.RLock()
		defer s.requests.RUnlock()
		if s.stopped {
			fail(w, http.StatusServiceUnavailable, errStopping)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// Close stops listening and removes the socket, also where Run was not called. Calling it twice is fine.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, v := range s.services {
		if err := v.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
