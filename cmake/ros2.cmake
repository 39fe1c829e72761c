# The build with ament, for ROS 2; CMakeLists.txt includes it.
find_package(ament_cmake REQUIRED)
find_package(ament_cmake_python REQUIRED)
find_package(diagnostic_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
find_package(sensor_msgs REQUIRED)
find_package(std_msgs REQUIRED)

rosidl_generate_interfaces(${PROJECT_NAME}
  msg/RenderProgress.msg msg/StyleStatus.msg
  srv/AddStyle.srv srv/ListStyles.srv srv/Render.srv srv/SetStyle.srv
  action/Render.action
  DEPENDENCIES diagnostic_msgs sensor_msgs std_msgs)

# Not ament_python_install_package: the generated modules are in a package of the same name.
install(DIRECTORY ${PROJECT_NAME}/ DESTINATION ${PYTHON_INSTALL_DIR}/${PROJECT_NAME}
  PATTERN __pycache__ EXCLUDE
  PATTERN ros EXCLUDE
  PATTERN nodes EXCLUDE)
# In the source tree these are not executable, or the rosrun of ROS 1 would find two nodes of the same name.
install(PROGRAMS
    ${PROJECT_NAME}/nodes/stylize_bag
    ${PROJECT_NAME}/ros2/nodes/play_clip
    ${PROJECT_NAME}/ros2/nodes/status_line
    ${PROJECT_NAME}/ros2/nodes/style_transfer_node
  DESTINATION lib/${PROJECT_NAME})
install(FILES launch/stylize.launch.py launch/fastdds.xml DESTINATION share/${PROJECT_NAME}/launch)
install(DIRECTORY weights/ DESTINATION share/${PROJECT_NAME}/weights)

ament_export_dependencies(rosidl_default_runtime)
ament_package()
