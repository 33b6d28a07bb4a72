/* A shared library with the functions of the B1530A's instrument library, as its header declares them (cdecl here).
 *
 * Every function hands its arguments on to what a test has registered for it, and returns LIBRARY_ERROR where nobody
 * has: it decides nothing by itself. What it proves is the way from Python's ctypes through the C calling convention.
 */

#define LIBRARY_ERROR (-7)

#define FORWARD(name, parameters, arguments)                                        \
    typedef int(*name##_t) parameters;                                              \
    static name##_t name##_to;                                                      \
    void register_##name(name##_t to) { name##_to = to; }                           \
    int WGFMU_##name parameters { return name##_to ? name##_to arguments : LIBRARY_ERROR; }

FORWARD(openSession, (const char *address), (address))
FORWARD(closeSession, (void), ())
FORWARD(initialize, (void), ())
FORWARD(setTimeout, (double timeout), (timeout))
FORWARD(getChannelIdSize, (int *size), (size))
FORWARD(getChannelIds, (int *ids, int *size), (ids, size))
FORWARD(getErrorSize, (int *size), (size))
FORWARD(getError, (char *error, int *size), (error, size))
FORWARD(treatWarningsAsErrors, (int level), (level))
FORWARD(setOperationMode, (int channel, int mode), (channel, mode))
FORWARD(setForceVoltageRange, (int channel, int range), (channel, range))
FORWARD(setMeasureMode, (int channel, int mode), (channel, mode))
FORWARD(setMeasureCurrentRange, (int channel, int range), (channel, range))
FORWARD(setMeasureEnabled, (int channel, int enabled), (channel, enabled))
FORWARD(connect, (int channel), (channel))
FORWARD(disconnect, (int channel), (channel))
FORWARD(clear, (void), ())
FORWARD(createPattern, (const char *name, double volts), (name, volts))
FORWARD(addVectors, (const char *name, double *times, double *volts, int size), (name, times, volts, size))
FORWARD(setMeasureEvent,
        (const char *name, const char *event, double time, int points, double interval, double average, int raw),
        (name, event, time, points, interval, average, raw))
FORWARD(setRangeEvent, (const char *name, const char *event, double time, int range), (name, event, time, range))
FORWARD(addSequence, (int channel, const char *name, double loops), (channel, name, loops))
FORWARD(execute, (void), ())
FORWARD(abort, (void), ())
FORWARD(getStatus, (int *status, double *elapsed, double *total), (status, elapsed, total))
FORWARD(getMeasureValueSize, (int channel, int *measured, int *total), (channel, measured, total))
FORWARD(getMeasureValues, (int channel, int offset, int *size, double *times, double *values),
        (channel, offset, size, times, values))
