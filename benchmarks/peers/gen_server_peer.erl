%% Erlang/OTP's gen_server, the reference: the same workloads, in one emulator with one scheduler.
%% `main` takes a workload and a number, and prints microseconds, CPU microseconds and operations; `mem` prints bytes.
-module(gen_server_peer).
-behaviour(gen_server).
-export([main/1, init/1, handle_call/3, handle_cast/2, start_link/1]).

main([Workload, N]) ->
    logger:set_primary_config(level, none),
    Count = list_to_integer(N),
    Name = list_to_atom(Workload),
    case Name of
        spawn_mem ->
            run(Name, 100),
            io:format("~b~n", [run(Name, Count)]);
        _ ->
            run(Name, max(1, Count div 10)),
            garbage_collect(),
            {Micros, Cpu, Ops} = run(Name, Count),
            io:format("~b ~b ~b~n", [Micros, Cpu, Ops])
    end,
    halt().

%% The server: a state is what it is there for.
start_link(State) -> gen_server:start_link({local, recovering}, ?MODULE, State, []).

init(State) -> {ok, State}.

handle_call(crash, _From, _State) -> error(boom);
handle_call({link, Next}, _From, {hop, _, Done}) -> {reply, ok, {hop, Next, Done}};
handle_call(total, _From, {counter, Seen, Total}) -> {reply, {Seen, Total}, {counter, Seen, Total}};
handle_call(Message, _From, State) -> {reply, Message, State}.

handle_cast(crash, _State) -> error(boom);
handle_cast({add, I}, {counter, Seen, Total}) -> {noreply, {counter, Seen + 1, Total + I}};
handle_cast({hop, 0}, {hop, _, Done} = State) -> Done ! done, {noreply, State};
handle_cast({hop, I}, {hop, Next, _} = State) -> gen_server:cast(Next, {hop, I - 1}), {noreply, State};
handle_cast({token, Text}, {consumer, 1, Parts, Done}) ->
    Done ! {text, iolist_to_binary(lists:reverse([Text | Parts]))},
    {noreply, {consumer, 0, [], Done}};
handle_cast({token, Text}, {consumer, Left, Parts, Done}) -> {noreply, {consumer, Left - 1, [Text | Parts], Done}};
handle_cast({token, _} = Token, {relay, To} = State) -> gen_server:cast(To, Token), {noreply, State};
handle_cast({produce, N}, {producer, To, Live} = State) -> produce(N, To, Live), {noreply, State}.

produce(0, _, _) -> ok;
produce(N, To, Live) ->
    gen_server:cast(To, {token, <<"tok ">>}),
    Live andalso erlang:yield(),
    produce(N - 1, To, Live).

start(State) ->
    {ok, Pid} = gen_server:start(?MODULE, State, []),
    Pid.

timed(Ops, Fun) ->
    Cpu = cpu(),
    Start = erlang:monotonic_time(microsecond),
    Fun(),
    Micros = erlang:monotonic_time(microsecond) - Start,
    {max(1, Micros), cpu() - Cpu, Ops}.

run(tell, N) ->
    Pid = start({counter, 0, 0}),
    Total = N * (N - 1) div 2,
    timed(N, fun() -> casts(Pid, 0, N), {N, Total} = gen_server:call(Pid, total, infinity) end);
run(ask, N) ->
    Pid = start(echo),
    timed(N, fun() -> calls(Pid, N) end);
run(ask_concurrent, N) -> waves(100, N);
run(fanout, N) -> waves(1000, N);
run(ring, N) ->
    Self = self(),
    Pids = [start({hop, none, Self}) || _ <- lists:seq(1, 1000)],
    [First | Rest] = Pids,
    [ok = gen_server:call(A, {link, B}) || {A, B} <- lists:zip(Pids, Rest ++ [First])],
    timed(N, fun() -> gen_server:cast(First, {hop, N}), receive done -> ok end end);
run(spawn, N) ->
    timed(N, fun() -> starts(N) end);
run(stop, N) ->
    Pids = [start(echo) || _ <- lists:seq(1, N)],
    timed(N, fun() ->
        Refs = [begin Ref = monitor(process, Pid), exit(Pid, shutdown), Ref end || Pid <- Pids],
        [receive {'DOWN', Ref, _, _, _} -> ok end || Ref <- Refs]
    end);
run(stream, N) -> stream(N, false, 0);
run(stream_live, N) -> stream(N, true, 0);
run(stream3, N) -> stream(N, false, 2);
run(stream3_live, N) -> stream(N, true, 2);
run(crash, N) ->
    Sup = supervisor(),
    Result = timed(N, fun() -> crashes(N) end),
    gen_server:stop(Sup),
    Result;
run(recovery, N) ->
    Sup = supervisor(),
    Result = timed(N, fun() -> recoveries(N) end),
    gen_server:stop(Sup),
    Result;
run(spawn_mem, N) ->
    garbage_collect(),
    Before = rss(),
    Pids = [start(echo) || _ <- lists:seq(1, N)],
    garbage_collect(),
    (rss() - Before) div length(Pids).

casts(_, N, N) -> ok;
casts(Pid, I, N) -> gen_server:cast(Pid, {add, I}), casts(Pid, I + 1, N).

calls(_, 0) -> ok;
calls(Pid, N) -> N = gen_server:call(Pid, N), calls(Pid, N - 1).

starts(0) -> ok;
starts(N) -> start(echo), starts(N - 1).

waves(Actors, N) ->
    Pids = list_to_tuple([start(echo) || _ <- lists:seq(1, Actors)]),
    Rounds = max(1, N div 1000),
    timed(Rounds * 1000, fun() -> [wave(Pids, Actors) || _ <- lists:seq(1, Rounds)] end).

wave(Pids, Actors) ->
    Asked = [gen_server:send_request(element(I rem Actors + 1, Pids), I) || I <- lists:seq(1, 1000)],
    [{reply, _} = gen_server:receive_response(Request, infinity) || Request <- Asked].

stream(N, Live, Relays) ->
    Consumer = start({consumer, N, [], self()}),
    Last = lists:foldl(fun(_, To) -> start({relay, To}) end, Consumer, lists:seq(1, Relays)),
    Producer = start({producer, Last, Live}),
    timed(N, fun() ->
        gen_server:cast(Producer, {produce, N}),
        receive {text, Text} -> true = byte_size(Text) =:= 4 * N end
    end).

%% It is linked to this process, which it must not take along: it ends normally. An intensity that is never reached: every crash is a restart.
supervisor() ->
    Child = #{id => recovering, start => {?MODULE, start_link, [echo]}},
    {ok, Sup} = supervisor:start_link(supervisor_peer, {#{intensity => 100000000, period => 1}, [Child]}),
    Sup.

crashes(0) -> ok;
crashes(N) ->
    Pid = whereis(recovering),
    try gen_server:call(Pid, crash) catch exit:_ -> ok end,
    restarted(Pid),
    crashes(N - 1).

restarted(Old) ->
    case whereis(recovering) of
        New when is_pid(New), New =/= Old -> ok;
        _ -> erlang:yield(), restarted(Old)
    end.

recoveries(0) -> ok;
recoveries(N) ->
    gen_server:cast(recovering, crash),
    answered(N),
    recoveries(N - 1).

answered(N) ->
    try N = gen_server:call(recovering, N)
    catch exit:_ -> erlang:yield(), answered(N)
    end.

%% Microseconds that all threads have run: statistics(runtime) leaves out what the system did for them.
cpu() ->
    {ok, Threads} = file:list_dir("/proc/self/task"),
    lists:sum([ran("/proc/self/task/" ++ Thread ++ "/schedstat") || Thread <- Threads]) div 1000.

ran(File) ->
    {ok, Text} = file:read_file(File),
    [Nanos | _] = binary:split(Text, <<" ">>),
    binary_to_integer(Nanos).

rss() ->
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = binary:split(Text, <<" ">>, [global]),
    binary_to_integer(Pages) * 4096.
