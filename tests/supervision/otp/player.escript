#!/usr/bin/env escript
%% -*- erlang -*-
%%! -kernel logger_level none +S 1:1
%% Plays scenarios on the real supervisor of Erlang/OTP.
%%
%% Standard input: one Erlang term per line, {Seed, Tree, Ops}. Standard output: one line per scenario, its seed and the
%% words of its trace. Ours plays the same in ours.py, and the two traces must be equal.
-module(player).
-mode(compile).
-export([main/1, init/1, start_worker/1, start_worker/2]).

main(_) ->
    io:setopts([{encoding, latin1}]),
    loop().

loop() ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            {ok, Tokens, _} = erl_scan:string(Line),
            {ok, {Seed, Tree, Ops}} = erl_parse:parse_term(Tokens),
            Self = self(),
            {Pid, Ref} = spawn_monitor(fun() -> play(Self, Tree, Ops) end),
            receive
                {trace, Trace} -> erlang:demonitor(Ref, [flush]), io:format("~b ~s~n", [Seed, lists:join(" ", Trace)]);
                {'DOWN', Ref, _, _, Why} -> io:format("~b died:~0p~n", [Seed, Why])
            after 20000 ->
                exit(Pid, kill),
                io:format("~b timeout~n", [Seed])
            end,
            loop()
    end.

play(Main, Tree, Ops) ->
    process_flag(trap_exit, true),
    ets:new(trace, [named_table, public, ordered_set]),
    ets:new(names, [named_table, public]),
    ets:new(plans, [named_table, public]),
    Top = case start_sup(Tree) of
        {ok, Pid} -> note("up"), Pid;
        {error, _} -> note("failed"), none
    end,
    settle(Top),
    lists:foreach(fun(Op) -> note("|"), do(Op), settle(Top) end, Ops),
    note("|"),
    is_pid(Top) andalso exit(Top, shutdown),
    settle(Top),
    Main ! {trace, [Word || {_, Word} <- ets:tab2list(trace)]}.

note(Word) -> ets:insert(trace, {erlang:unique_integer([monotonic]), Word}).

%% Trees: {sup, Name, Strategy, Intensity, Auto, [Child]}
%% Children: {worker, Id, Restart, Significant, Plan, Brutal} or {child_sup, Id, Restart, Significant, Sup}

start_sup({sup, Name, _, _, _, _} = Sup) ->
    case supervisor:start_link(?MODULE, Sup) of
        {ok, Pid} -> ets:insert(names, {Name, Pid}), {ok, Pid};
        Other -> Other
    end.

init({sup, _, Strategy, Intensity, Auto, Children}) ->
    Flags = #{strategy => Strategy, intensity => Intensity, period => 1000, auto_shutdown => Auto},
    {ok, {Flags, [spec(Strategy, Child) || Child <- Children]}}.

spec(simple_one_for_one, {worker, Id, Restart, Significant, _, false}) ->
    #{id => Id, start => {?MODULE, start_worker, []}, restart => Restart, significant => Significant, shutdown => 5000};
spec(_, Child) -> spec(Child).

spec({worker, Id, Restart, Significant, Plan, false}) ->
    #{id => Id, start => {?MODULE, start_worker, [Id, Plan]}, restart => Restart, significant => Significant,
      shutdown => 5000};
spec({child_sup, Id, Restart, Significant, Sup}) ->
    #{id => Id, start => {erlang, apply, [fun start_sup/1, [Sup]]}, restart => Restart, significant => Significant,
      shutdown => infinity, type => supervisor}.

%% A worker goes through its plan, one outcome for each start; after the last it starts well.

start_worker({Id, Plan}) -> start_worker(Id, Plan).

start_worker(Id, Plan) ->
    Tries = ets:update_counter(plans, Id, 1, {Id, 0}),
    Outcome = case Tries =< length(Plan) of true -> lists:nth(Tries, Plan); false -> ok end,
    case Outcome of
        ok ->
            Self = self(),
            Pid = spawn_link(fun() -> worker(Id, Self) end),
            receive {Pid, ready} -> {ok, Pid} end;
        fail -> note(["fail:", atom_to_list(Id)]), {error, planned};
        ignore -> note(["ignore:", atom_to_list(Id)]), ignore
    end.

worker(Id, Parent) ->
    process_flag(trap_exit, true),
    ets:insert(names, {Id, self()}),
    note(["start:", atom_to_list(Id)]),
    Parent ! {self(), ready},
    receive
        {do, How} -> finish(Id, How);
        {'EXIT', Parent, How} -> finish(Id, How)
    end.

finish(Id, How) -> note(["stop:", atom_to_list(Id), ":", atom_to_list(How)]), exit(How).

pid(Name) ->
    case ets:lookup(names, Name) of
        [{_, Pid}] -> case is_process_alive(Pid) of true -> Pid; false -> none end;
        [] -> none
    end.

do({do, Id, How}) ->
    case pid(Id) of
        none -> note("nobody");
        Pid ->
            Ref = erlang:monitor(process, Pid),
            Pid ! {do, How},
            receive {'DOWN', Ref, _, _, _} -> ok end
    end;
do({terminate, Sup, Id}) -> call(Sup, fun(S) -> supervisor:terminate_child(S, Id) end);
do({terminate_pid, Sup, Id}) ->
    case ets:lookup(names, Id) of
        [{_, Pid}] -> call(Sup, fun(S) -> supervisor:terminate_child(S, Pid) end);
        [] -> note("nobody")
    end;
do({restart, Sup, Id}) -> call(Sup, fun(S) -> supervisor:restart_child(S, Id) end);
do({delete, Sup, Id}) -> call(Sup, fun(S) -> supervisor:delete_child(S, Id) end);
do({start, Sup, Child}) -> call(Sup, fun(S) -> supervisor:start_child(S, spec(Child)) end);
do({start_simple, Sup, Id, Plan}) -> call(Sup, fun(S) -> supervisor:start_child(S, [{Id, Plan}]) end);
do({count, Sup}) ->
    call(Sup, fun(S) ->
        [{specs, A}, {active, B}, {supervisors, C}, {workers, D}] = supervisor:count_children(S),
        {counts, A, B, C, D}
    end).

call(Sup, Fun) ->
    case pid(Sup) of
        none -> note("noproc");
        Pid -> try note(word(Fun(Pid))) catch exit:_ -> note("noproc") end
    end.

word(ok) -> "ok";
word({ok, undefined}) -> "ok:ignored";
word({ok, Pid}) when is_pid(Pid) -> "ok";
word({counts, A, B, C, D}) -> io_lib:format("~b:~b:~b:~b", [A, B, C, D]);
word({error, {already_started, _}}) -> "already_started";
word({error, Reason}) when Reason =:= already_present; Reason =:= not_found; Reason =:= running;
        Reason =:= restarting; Reason =:= simple_one_for_one -> atom_to_list(Reason);
word({error, _}) -> "error".

%% Nothing more happens: the trace stays as it is while every supervisor answers, three times over.

settle(Top) -> settle(Top, -1, 0).

settle(Top, _, 3) ->
    note(["=", state(Top)]),
    receive {'EXIT', Top, Why} -> note(["end:", atom_to_list(Why)]) after 0 -> ok end;
settle(Top, Size, Quiet) ->
    state(Top),
    erlang:yield(),
    case ets:info(trace, size) of
        Size -> settle(Top, Size, Quiet + 1);
        Other -> settle(Top, Other, 0)
    end.

state(Pid) when is_pid(Pid) ->
    try supervisor:which_children(Pid) of
        Children -> ["(", lists:join(",", [child_state(C) || C <- Children]), ")"]
    catch exit:_ -> "dead"
    end;
state(_) -> "dead".

child_state({undefined, _, worker, _}) -> "dyn";
child_state({Id, restarting, _, _}) -> [atom_to_list(Id), "=restarting"];
child_state({Id, undefined, _, _}) -> [atom_to_list(Id), "=undefined"];
child_state({Id, Pid, supervisor, _}) -> [atom_to_list(Id), "=", state(Pid)];
child_state({Id, _, _, _}) -> [atom_to_list(Id), "=up"].
