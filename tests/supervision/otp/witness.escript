#!/usr/bin/env escript
%% -*- erlang -*-
%%! -kernel logger_level none +S 1:1
%% Looks for plays of the real supervisor of Erlang/OTP that show given outcomes.
%%
%% Standard input: an Erlang term per line, {Seed, Tree, Clients, Outcomes}; an outcome is {Words, Answers, State, Log}.
%% Standard output: a line per outcome: the seed, its number, and "found" or "missing" with the play that came nearest.
%%
%% A play is a run of the tree in which nothing happens by chance. One process, the director, takes one step after the
%% other, and waits after each until nobody else can run: all others have a higher priority, and there is one scheduler.
%% The supervisors are suspended between the steps. The steps are: a client makes its next call; a message or a signal
%% arrives at a worker; a worker goes on with its init or its terminate; a supervisor works until it has to wait. Any
%% order of these is an order that OTP can have. The search tries the steps that the log of the outcome suggests first,
%% gives a play up as soon as it shows anything else, and tries next what differs least from the suggestions.
%%
%% An escript is one file, so this one is long: the search, the director and its steps, the processes of the play.
-module(witness).
-mode(compile).
-export([main/1, init/1, start_worker/2, start_sup/2]).

-define(MOST_PLAYS, 5000).

%% The state of a play.
%%   words, answers: what is still to be shown; log: what suggests the next step.
%%   names: of each worker and supervisor its process; all: every process that there was.
%%   waits: the workers that wait in their init or terminate; sent: what is on its way, {Client, Pid, What}.
%%   clients: {Number, Process, idle | busy, Ops}; seen: the messages that a supervisor had when it last ran.
%%   starts: how often each worker was started; parents: which supervisors can start it; brutal: whether it is.
%%   called: which supervisor each client called; failed: the restarts that failed while a call was there to terminate
%%   the child.
%%   late: the steps that are put off.
%%   shown: what there was to be seen, the last first; ok: whether all of it was to be shown.
-record(play, {top = none, owner, words = [], answers = #{}, log = [], names = #{}, all = [], sups = [], waits = [],
               sent = [], clients = [], seen = #{}, starts = #{}, parents = #{}, brutal = #{}, called = [], failed = [],
               late = [], shown = [], ok = true}).

main(_) ->
    io:setopts([{encoding, latin1}]),
    % To load them later would take a turn of others.
    [{module, _} = code:ensure_loaded(M) || M <- [supervisor, gen_server, gen, proc_lib, sys, io_lib, string, gb_sets]],
    loop().

loop() ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            {ok, Tokens, _} = erl_scan:string(Line),
            {ok, {Seed, Tree, Clients, Outcomes}} = erl_parse:parse_term(Tokens),
            [io:format("~b ~b ~s~n", [Seed, N, search({Tree, Clients, Outcome})])
             || {N, Outcome} <- lists:zip(lists:seq(0, length(Outcomes) - 1), Outcomes)],
            loop()
    end.

%% The search. A path is the list of the choices that were made, each {Chosen, Choices}; a play is determined by the
%% numbers of its first choices, and takes the first choice of all from there on.

search(Scenario) -> search(Scenario, gb_sets:singleton({0, 0, []}), 0, {-1, []}).

search(Scenario, Open, Plays, {_, Nearest} = Best) ->
    case gb_sets:is_empty(Open) of
        true -> ["missing after all ", integer_to_list(Plays), " plays: ", Nearest];
        false when Plays >= ?MOST_PLAYS -> ["missing in ", integer_to_list(Plays), " plays: ", Nearest];
        false ->
            {{_, _, Prefix}, Rest} = gb_sets:take_smallest(Open),
            case play(Scenario, Prefix) of
                found -> ["found in ", integer_to_list(Plays + 1)];
                {missed, Path, Length, Shown} ->
                    Next = lists:foldl(fun gb_sets:add/2, Rest, siblings(cost(Prefix, Length), Path, length(Prefix))),
                    search(Scenario, Next, Plays + 1, max(Best, {Length, lists:join(" ", Shown)}))
            end
    end.

%% What to try next: what has few choices against the suggestions, and where its nearest relative went far.
cost(Prefix, Length) -> 3 * length([N || N <- Prefix, N > 0]) - Length.

siblings(Cost, Path, Fixed) ->
    Chosen = [C || {C, _} <- Path],
    Numbered = lists:zip(lists:seq(0, length(Path) - 1), Path),
    [{Cost, -Depth, lists:sublist(Chosen, Depth) ++ [Other]}
     || {Depth, {C, N}} <- Numbered, Depth >= Fixed, Other <- lists:seq(C + 1, N - 1)].

play(Scenario, Prefix) ->
    Self = self(),
    {Pid, Ref} = spawn_monitor(fun() -> Self ! {self(), direct(Scenario, Prefix)} end),
    receive
        {Pid, Result} -> erlang:demonitor(Ref, [flush]), Result;
        {'DOWN', Ref, _, _, Why} -> exit({play_failed, Why, Scenario, Prefix})
    after 10000 -> exit({play_hangs, Scenario, Prefix})
    end.

%% The director.

direct({Tree, Clients, {Words, Answers, State, Log}}, Prefix) ->
    ets:new(plans, [named_table, public]),
    Self = self(),
    Owner = high(fun() -> own(Self, Tree) end),
    Known = #play{log = Log, brutal = brutal(Tree), parents = parents(Tree, Clients)},
    P0 = come_up(Known#play{owner = Owner, all = [Owner], words = none}),
    Numbered = lists:zip(lists:seq(0, length(Clients) - 1), Clients),
    P1 = P0#play{
        words = Words,
        answers = maps:from_list(lists:zip(lists:seq(0, length(Answers) - 1), Answers)),
        clients = [{N, high(fun() -> client(Self, N) end), idle, Ops} || {N, Ops} <- Numbered]
    },
    {P2, Path} = go_on(suspend(P1), Prefix, []),
    [erlang:resume_process(S) || S <- P2#play.sups, is_process_alive(S)],
    Final = case P2#play.ok of true -> lists:flatten(["=", state(P2#play.top)]); false -> "" end,
    [exit(Pid, kill) || Pid <- P2#play.all ++ [C || {_, C, _, _} <- P2#play.clients]],
    case P2#play.ok andalso P2#play.words =:= [] andalso Final =:= State
        andalso lists:all(fun(Rest) -> Rest =:= [] end, maps:values(P2#play.answers)) of
        true -> found;
        false -> {missed, lists:reverse(Path), length(P2#play.shown), lists:reverse([Final | P2#play.shown])}
    end.

%% For each worker the supervisors that can start it.
parents(Tree, Clients) ->
    Started = [{Id, Sup} || Ops <- Clients, {start, Sup, {worker, Id, _, _, _, _}} <- Ops],
    lists:foldl(fun({Id, Sup}, Map) -> Map#{Id => [Sup | maps:get(Id, Map, [])]} end, #{}, children(Tree) ++ Started).

children({sup, Name, _, _, _, Children}) -> lists:append([children(Name, C) || C <- Children]).

children(Name, {worker, Id, _, _, _, _}) -> [{Id, Name}];
children(Name, {child_sup, Id, _, _, Sup}) -> [{Id, Name} | children(Sup)].

high(Fun) -> spawn_opt(Fun, [{priority, high}]).

brutal({sup, _, _, _, _, Children}) -> lists:foldl(fun(C, Map) -> maps:merge(Map, brutal(C)) end, #{}, Children);
brutal({child_sup, _, _, _, Sup}) -> brutal(Sup);
brutal({worker, Id, _, _, _, Brutal}) -> #{Id => Brutal}.

%% The tree comes up before the clients begin.
come_up(P) ->
    case look(P) of
        #play{top = none, waits = [{Pid, _, _} | Waits]} = Q -> Pid ! go, come_up(Q#play{waits = Waits});
        #play{top = none} = Q -> come_up(Q);
        Q -> Q
    end.

go_on(P, Prefix, Path) ->
    Steps = [S || P#play.ok, S <- steps(P)],
    case {Steps, Prefix} of
        {[], _} -> {P, Path};
        {[First | _], []} -> go_on(take(First, P), [], [{0, length(Steps)} | Path]);
        {[First | _], [0 | Rest]} -> go_on(take(First, P), Rest, [{0, length(Steps)} | Path]);
        {[First | _], [N | Rest]} ->
            Q = P#play{late = [First | P#play.late]},
            go_on(take(lists:nth(N + 1, Steps), Q), Rest, [{N, length(Steps)} | Path])
    end.

%% All that can happen next: first what the log suggests, last what was the first choice since the last word and was not
%% taken.
steps(#play{waits = Waits} = P) ->
    case [W || {_, _, Phase} = W <- Waits, Phase =:= refuse orelse Phase =:= ignore] of
        [Choice | _] -> [{go, Choice}, {other, Choice}];
        [] -> in_order(all_steps(P), P)
    end.

all_steps(#play{clients = Clients, sent = Sent, waits = Waits} = P) ->
    Runs = [{run, S} || S <- P#play.sups, has_work(S, P)],
    Goes = [{go, W} || {Pid, _, _} = W <- Waits, is_process_alive(Pid)],
    Cuts = [{kill, Pid} || {Pid, Id, init} <- Waits, maps:get(Id, P#play.brutal, false), is_process_alive(Pid)],
    Arrives = lists:append([arrivals(M, P) || {_, Pid, _} = M <- Sent, is_process_alive(Pid), first(M, Sent)]),
    Calls = [{call, N} || {N, _, idle, [_ | _]} <- Clients],
    % What is there to be done but need not: it goes without.
    Revivals = lists:append([[forget, {revive, S, Id}] || {S, Id} <- P#play.failed]),
    Runs ++ Goes ++ Arrives ++ Calls ++ Cuts ++ Revivals.

in_order(All, P) ->
    Late = [S || S <- All, lists:member(S, P#play.late)],
    Others = All -- Late,
    {Now, Next} = case lists:dropwhile(fun(Entry) -> is_past(Entry, P) end, P#play.log) of
        [] -> {[], []};
        [Entry | Log] -> {[S || S <- Others, suggests(Entry, S, P)], suggested(Log, Others, P)}
    end,
    Runs = [S || {run, _} = S <- Others],
    unique(Now ++ Runs ++ Next ++ Others) ++ Late.

unique([]) -> [];
unique([S | Steps]) -> [S | unique([T || T <- Steps, T =/= S])].

is_past({ended, Id, Start}, #play{names = Names, starts = Starts}) ->
    case Starts of
        #{Id := Start} -> not is_process_alive(maps:get(Id, Names));
        #{Id := Later} -> Later > Start;
        _ -> false
    end;
is_past(_, _) -> false.

%% The steps that make an entry of the log come true, the first one that can come true before the next word.
suggested([], _, _) -> [];
suggested([Entry | Log], Steps, P) ->
    case [S || S <- Steps, suggests(Entry, S, P)] of
        [] when element(1, Entry) =/= word -> suggested(Log, Steps, P);
        Suggested -> Suggested
    end.

has_work(S, P) ->
    case process_info(S, message_queue_len) of
        {message_queue_len, Length} -> Length =/= maps:get(S, P#play.seen, 0);
        undefined -> false
    end.

%% The messages of one client arrive at one process in order; a signal takes effect before they are looked at.
first({N, Pid, {do, _}} = Message, Sent) ->
    hd([M || {N1, Pid1, {do, _}} = M <- Sent, N1 =:= N, Pid1 =:= Pid]) =:= Message;
first(_, _) -> true.

%% `exit(Pid, shutdown)` ends a process at once that does not trap exits; one that does ends when it gets to it, and
%% takes no notice in its terminate. Ours cuts off the start of a brutal one, and judges that as an end.
arrivals({_, Pid, stop} = Message, #play{waits = Waits}) ->
    Hows = case lists:keyfind(Pid, 1, Waits) of
        {_, _, init} -> [do, die, over];
        {_, _, stop} -> [do, die];
        false -> [do]
    end,
    [{arrive, Message, {How, shutdown}} || How <- Hows];
arrivals({_, _, What} = Message, _) -> [{arrive, Message, What}].

suggests({op, N}, {call, N}, _) -> true;
suggests({sent, N, What}, {arrive, {N, _, What}, _}, _) -> true;
suggests({ended, Id, _}, {go, {_, Id, stop}}, _) -> true;
suggests({ended, Id, _}, {arrive, {_, Pid, _}, What}, P) when What =:= kill; What =:= {die, shutdown} ->
    is_named(Id, Pid, P);
suggests({answer, N}, {run, S}, P) -> lists:member({N, S}, P#play.called);
suggests({word, "init:" ++ Id}, {go, {Pid, Name, init}}, P) ->
    is_parent(Pid, Id, P) andalso is_named(Name, Pid, P); % the init of its supervisor
suggests({word, "stop:" ++ Word}, {arrive, {_, Pid, _}, {do, How}}, P) ->
    [Id, Said] = string:split(Word, ":"),
    Said =:= atom_to_list(How) andalso is_named(list_to_atom(Id), Pid, P);
suggests({word, Word}, {run, S}, P) ->
    case string:split(Word, ":", all) of
        ["init", Id] -> is_parent(S, Id, P);
        ["stop", Id, "shutdown"] -> is_parent(S, Id, P);
        _ -> false
    end;
suggests({word, Word}, {go, {_, Id, init}}, _) ->
    [_, Said] = string:split(Word, ":"),
    Said =:= atom_to_list(Id);
suggests(_, _, _) -> false.

is_named(Name, Pid, #play{names = Names}) -> maps:get(Name, Names, none) =:= Pid.

is_parent(Pid, Id, #play{parents = Parents} = P) ->
    lists:any(fun(Sup) -> is_named(Sup, Pid, P) end, maps:get(list_to_atom(Id), Parents, [])).

take(Step, P) -> take_now(Step, P#play{late = lists:delete(Step, P#play.late)}).

take_now({run, S}, P) ->
    erlang:resume_process(S),
    Q = look(P#play{sups = lists:delete(S, P#play.sups)}),
    R = suspend(Q#play{sups = P#play.sups ++ (Q#play.sups -- P#play.sups)}),
    case process_info(S, message_queue_len) of
        {_, Length} -> R#play{seen = (R#play.seen)#{S => Length}};
        undefined -> R
    end;
take_now({go, {Pid, Id, Phase} = Wait}, P) ->
    Pid ! go,
    Q = P#play{waits = lists:delete(Wait, P#play.waits)},
    step_done(case Phase of stop -> logged({ended, Id, maps:get(Id, P#play.starts)}, Q); _ -> Q end);
take_now({other, {Pid, _, What} = Wait}, P) ->
    Pid ! What,
    step_done(P#play{waits = lists:delete(Wait, P#play.waits)});
take_now(forget, P) -> P#play{failed = []};
take_now({revive, S, Id}, P) ->
    Reviver = high(fun() -> catch revive(S, Id) end),
    step_done(P#play{failed = P#play.failed -- [{S, Id}], all = [Reviver | P#play.all]});
take_now({kill, Pid}, P) ->
    exit(Pid, kill),
    step_done(P);
take_now({arrive, {N, Pid, _} = Message, What}, P) ->
    case What of
        kill -> exit(Pid, kill);
        _ -> Pid ! What
    end,
    step_done(logged({sent, N, element(3, Message)}, P#play{sent = lists:delete(Message, P#play.sent)}));
take_now({call, N}, P) ->
    {N, Client, idle, [Op | Ops]} = lists:keyfind(N, 1, P#play.clients),
    Q = logged({op, N}, P#play{clients = lists:keystore(N, 1, P#play.clients, {N, Client, idle, Ops})}),
    step_done(do(N, Client, Op, Q)).

step_done(P) -> suspend(look(P)).

do(N, _, {do, Id, How}, P) -> send(N, Id, {do, How}, P);
do(N, _, {kill, Id}, P) -> send(N, Id, kill, P);
do(N, _, {stop, Id}, P) -> send(N, Id, stop, P);
do(N, _, {shutdown}, P) -> P#play{sent = P#play.sent ++ [{N, P#play.owner, shutdown}]};
do(N, Client, Op, P) ->
    Sup = maps:get(element(2, Op), P#play.names, none),
    Client ! {call, Sup, Op},
    {N, _, _, Ops} = lists:keyfind(N, 1, P#play.clients),
    Called = lists:keystore(N, 1, P#play.called, {N, Sup}),
    P#play{called = Called, clients = lists:keystore(N, 1, P#play.clients, {N, Client, busy, Ops})}.

send(N, Id, What, P) ->
    case P#play.names of
        #{Id := Pid} -> P#play{sent = P#play.sent ++ [{N, Pid, What}]};
        _ -> P
    end.

%% Let everybody run who can, and take in what they tell.
look(P) ->
    erlang:yield(),
    erlang:yield(), % a supervisor that starts has a high priority only from its init on
    told(P).

told(P) ->
    receive
        {up, Top} -> told(P#play{top = Top});
        {sup, Name, Pid} -> told(P#play{names = (P#play.names)#{Name => Pid}, sups = P#play.sups ++ [Pid],
                                        all = [Pid | P#play.all]});
        {init, Id, Pid} -> told(begun(Id, Pid, P));
        {waits, Pid, Id, Phase} -> told(P#play{waits = P#play.waits ++ [{Pid, Id, Phase}]});
        {word, Word} -> told(shows(Word, P));
        {failed, S, Id} -> told(P#play{failed = [{S, Id} | P#play.failed]});
        {answer, N, Answer} -> told(answered(N, Answer, P))
    after 0 -> P
    end.

suspend(P) ->
    Alive = [S || S <- P#play.sups, is_process_alive(S)],
    [erlang:suspend_process(S, [unless_suspending]) || S <- Alive],
    P#play{sups = Alive}.

begun(Id, Pid, #play{names = Names, starts = Starts} = P) ->
    Start = maps:get(Id, Starts, 0) + 1,
    shows(word("init", Id), P#play{names = Names#{Id => Pid}, starts = Starts#{Id => Start}, all = [Pid | P#play.all]}).

shows(Word, #play{words = [Word | Words]} = P) ->
    logged({word, Word}, P#play{words = Words, late = [], shown = [Word | P#play.shown]});
shows(_, #play{words = none} = P) -> P;
shows(Word, P) -> P#play{ok = false, shown = ["!" ++ Word | P#play.shown]}.

answered(N, Answer, #play{answers = Answers} = P) ->
    {N, Client, busy, Ops} = lists:keyfind(N, 1, P#play.clients),
    Q = P#play{clients = lists:keystore(N, 1, P#play.clients, {N, Client, idle, Ops})},
    Said = lists:flatten(io_lib:format("~b=~s", [N, Answer])),
    [Wanted | Rest] = maps:get(N, Answers),
    case is_answer(string:split(Wanted, ":", all), string:split(Answer, ":", all)) of
        true -> logged({answer, N}, Q#play{answers = Answers#{N => Rest}, shown = [Said | P#play.shown]});
        false -> Q#play{ok = false, shown = ["!" ++ Said | P#play.shown]}
    end.

%% Our child is active as long as its reference is alive, also where it has ended and is about to be restarted.
is_answer([Specs, Ours, Supervisors, Workers], [Specs, Theirs, Supervisors, Workers]) -> Ours >= Theirs;
is_answer(Wanted, Answer) -> Wanted =:= Answer.

%% It happened: the log is to suggest it no more.
logged(What, P) -> P#play{log = lists:delete(What, P#play.log)}.

state(Top) ->
    try supervisor:which_children(Top) of
        Children -> ["(", lists:join(",", [child_state(C) || C <- Children]), ")"]
    catch exit:_ -> "dead"
    end.

child_state({Id, Pid, supervisor, _}) when is_pid(Pid) -> [atom_to_list(Id), "=", state(Pid)];
child_state(Child) -> child(Child).

child({Id, Pid, _, _}) when is_pid(Pid) -> [atom_to_list(Id), "=up"];
child({Id, Status, _, _}) -> [atom_to_list(Id), "=", atom_to_list(Status)].

%% The others: the owner of the top, clients, supervisors, workers.

own(Director, Tree) ->
    process_flag(trap_exit, true),
    {ok, Top} = supervisor:start_link(?MODULE, {Director, Tree}),
    Director ! {up, Top},
    receive shutdown -> exit(Top, shutdown) end,
    receive never -> ok end.

client(Director, N) ->
    receive {call, Sup, Op} -> Director ! {answer, N, lists:flatten(answer(Director, Op, Sup))} end,
    client(Director, N).

answer(_, _, none) -> "noproc";
answer(Director, Op, Sup) ->
    try answer_to(Director, Op, Sup)
    catch exit:_ -> "noproc"
    end.

answer_to(_, {terminate, _, Id}, S) -> short(supervisor:terminate_child(S, Id));
answer_to(_, {restart, _, Id}, S) -> short(supervisor:restart_child(S, Id));
answer_to(_, {delete, _, Id}, S) -> short(supervisor:delete_child(S, Id));
answer_to(Director, {start, _, Child}, S) -> short(supervisor:start_child(S, spec(Director, Child)));
answer_to(_, {which, _}, S) -> ["(", lists:join(",", [child(C) || C <- supervisor:which_children(S)]), ")"];
answer_to(_, {count, _}, S) ->
    [{specs, A}, {active, B}, {supervisors, C}, {workers, D}] = supervisor:count_children(S),
    io_lib:format("~b:~b:~b:~b", [A, B, C, D]).

short(ok) -> "ok";
short({ok, undefined}) -> "ok:ignored";
short({ok, Pid}) when is_pid(Pid) -> "ok";
short({error, {already_started, _}}) -> "already_started";
short({error, Reason}) when Reason =:= already_present; Reason =:= not_found; Reason =:= running;
        Reason =:= restarting -> atom_to_list(Reason);
short({error, _}) -> "error".

%% Restart those after this one.
revive(S, Id) ->
    Ids = lists:reverse([I || {I, _, _, _} <- supervisor:which_children(S)]),
    [_ | After] = lists:dropwhile(fun(I) -> I =/= Id end, Ids),
    [supervisor:restart_child(S, I) || I <- After].

start_sup(Director, {sup, Name, _, _, _, _} = Sup) ->
    start(Director, Name, false, fun() -> supervisor:start_link(?MODULE, {Director, Sup}) end).

start_worker(Director, {worker, Id, _, _, _, Brutal} = Worker) ->
    start(Director, Id, Brutal, fun() -> start_it(Director, Worker) end).

%% Ours goes its own way in three points, on purpose. Here they are choices that the director has:
%% - As soon as a supervisor is to end it starts nothing more. OTP's starts all of the group first.
%% - `terminate_child` cuts off the start of a brutal child, also one that is due.
%% - The siblings of a child whose restart has failed, and which is terminated then, are started. OTP's stay undefined.
%%   It is as if the child had been ignored, since it is undefined in the end, or as if somebody restarted them.
start(Director, Id, Brutal, Start) ->
    Terminated = fun() -> has(self(), fun(M) -> is_termination(M, Id) end) end,
    May = is_to_end(self(), get('$ancestors')) orelse Brutal andalso Terminated(),
    Result = case May andalso choose(Director, Id, refuse) of true -> {error, refused}; false -> Start() end,
    case Result of
        {error, _} ->
            case Terminated() andalso choose(Director, Id, ignore) of true -> ignore; false -> Result end;
        _ -> Result
    end.

choose(Director, Id, What) ->
    Director ! {waits, self(), Id, What},
    receive
        What -> true;
        go when What =:= ignore -> Director ! {failed, self(), Id}, false;
        go -> false
    end.

has(Pid, Is) ->
    case process_info(Pid, messages) of
        {messages, Messages} -> lists:any(Is, Messages);
        undefined -> false
    end.

is_termination({'$gen_call', _, {terminate_child, Id}}, Id) -> true;
is_termination(_, _) -> false.

is_to_end(Sup, [Parent | Ancestors]) ->
    IsTermination = fun({'$gen_call', _, {terminate_child, _}}) -> true; (_) -> false end,
    IsEnd = fun(M) -> M =:= {'EXIT', Parent, shutdown} orelse is_over(M) end,
    has(Sup, IsEnd)
        orelse Ancestors =/= [] andalso (has(Parent, IsTermination) orelse is_to_end(Parent, Ancestors)).

%% A child whose start was cut off: with `auto_shutdown` its end may be that of the supervisor.
is_over({'EXIT', _, {shutdown, over}}) -> true;
is_over(_) -> false.

init({Director, {sup, Name, Strategy, Intensity, Auto, Children}}) ->
    process_flag(priority, high),
    Director ! {sup, Name, self()},
    Director ! {waits, self(), Name, init},
    receive go -> ok end,
    Flags = #{strategy => Strategy, intensity => Intensity, period => 1000, auto_shutdown => Auto},
    {ok, {Flags, [spec(Director, Child) || Child <- Children]}}.

spec(Director, {worker, Id, Restart, Significant, _, Brutal} = Worker) ->
    #{id => Id, start => {?MODULE, start_worker, [Director, Worker]}, restart => Restart, significant => Significant,
      shutdown => case Brutal of true -> brutal_kill; false -> 5000 end};
spec(Director, {child_sup, Id, Restart, Significant, Sup}) ->
    #{id => Id, start => {?MODULE, start_sup, [Director, Sup]}, restart => Restart, significant => Significant,
      shutdown => infinity, type => supervisor}.

start_it(Director, {worker, Id, _, _, Plan, _}) ->
    Tries = ets:update_counter(plans, Id, 1, {Id, 0}),
    Outcome = case Tries =< length(Plan) of true -> lists:nth(Tries, Plan); false -> ok end,
    Parent = self(),
    Pid = spawn_opt(fun() -> worker(Director, Id, Outcome, Parent) end, [link, {priority, high}]),
    receive
        {Pid, ready} -> {ok, Pid};
        {Pid, ignore} -> ignore;
        {'EXIT', Pid, Reason} -> {error, Reason}
    end.

word(What, Id) -> What ++ ":" ++ atom_to_list(Id).

%% `do`, and the shutdown by the parent, wait in its mailbox until it gets to them.
worker(Director, Id, Outcome, Parent) ->
    process_flag(trap_exit, true),
    Director ! {init, Id, self()},
    wait(Director, Id, {init, Parent}),
    Director ! {word, word(case Outcome of ok -> "start"; _ -> atom_to_list(Outcome) end, Id)},
    case Outcome of
        fail -> exit(planned);
        ignore -> unlink(Parent), Parent ! {self(), ignore};
        ok ->
            Parent ! {self(), ready},
            How = receive {do, H} -> H; {'EXIT', Parent, Reason} -> Reason end,
            Director ! {word, word("stop", Id) ++ ":" ++ atom_to_list(How)},
            wait(Director, Id, stop),
            exit(How)
    end.

wait(Director, Id, {init, Parent}) ->
    Director ! {waits, self(), Id, init},
    receive
        go -> ok;
        {die, Reason} -> exit(Reason);
        {over, Reason} -> Parent ! {self(), ready}, exit({Reason, over})
    end;
wait(Director, Id, stop) ->
    Director ! {waits, self(), Id, stop},
    receive go -> ok; {die, Reason} -> exit(Reason) end.
